{{/* Names, labels, and small conversions. */}}

{{- define "timeside.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "timeside.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "timeside.labels" -}}
{{ include "timeside.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: timeside
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Of a component: dict "root" $ "name" NAME. */}}
{{- define "timeside.componentSelector" -}}
{{ include "timeside.selector" .root }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "timeside.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "timeside.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* dict "root" $ "image" {repository, tag, digest} */}}
{{- define "timeside.image" -}}
{{- $of := .root.Values.image -}}
{{- $repository := .image.repository -}}
{{- $tag := coalesce .image.tag $of.tag -}}
{{- $digest := .image.digest | default (ternary "" (get $of.digests $repository) (not (empty $tag))) -}}
{{- if $of.registry -}}{{- $repository = printf "%s/%s" $of.registry $repository -}}{{- end -}}
{{- if $digest -}}
{{- printf "%s@%s" $repository $digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .root.Chart.AppVersion $tag) -}}
{{- end -}}
{{- end -}}

{{/* A setting as the environment says it: lists parted by commas; numbers from YAML are floats, and must not become 2e+09. */}}
{{- define "timeside.setting" -}}
{{- if kindIs "slice" . -}}{{- join "," . -}}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}{{- printf "%.0f" . -}}
{{- else -}}{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* Whether a component's size is decided by an autoscaler: dict "root" $ "of" COMPONENT */}}
{{- define "timeside.mode" -}}
{{- $mode := .root.Values.autoscaling.mode -}}
{{- with .of.autoscaling -}}{{- $mode = default $mode .mode -}}{{- else -}}{{- $mode = "none" -}}{{- end -}}
{{- if and (eq $mode "keda") (not .of.query) -}}{{- $mode = "hpa" -}}{{- end -}}
{{- $mode -}}
{{- end -}}

{{/* Most pods that can be at once. */}}
{{- define "timeside.most" -}}
{{- if eq (include "timeside.mode" .) "none" -}}{{- int .of.replicas -}}{{- else -}}{{- int .of.autoscaling.max -}}{{- end -}}
{{- end -}}

{{/* Fewest pods that are wanted. */}}
{{- define "timeside.fewest" -}}
{{- if eq (include "timeside.mode" .) "none" -}}{{- int .of.replicas -}}{{- else -}}{{- int .of.autoscaling.min -}}{{- end -}}
{{- end -}}

{{- define "timeside.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.security.runAsUser }}
runAsUser: {{ int . }}
runAsGroup: {{ int . }}
{{- end }}
{{- with .Values.security.fsGroup }}
fsGroup: {{ int . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "timeside.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "timeside.storeClaim" -}}
{{- $volume := .Values.store.volume -}}
{{- if $volume.existingClaim -}}{{- $volume.existingClaim -}}
{{- else if $volume.size -}}{{- printf "%s-store" (include "timeside.fullname" .) -}}
{{- end -}}
{{- end -}}
