{{/* What the schema of values cannot say: each rule names the key and what it must be. */}}
{{- define "timeside.validate" -}}
{{- if not .Values.kafka.bootstrap -}}
{{- fail "kafka.bootstrap: must name the brokers, as host:port parted by commas" -}}
{{- end -}}
{{- with .Values.kafka.tls -}}
{{- if and (not .enabled) (or .ca.existingSecret .ca.existingConfigMap .certificate.existingSecret) -}}
{{- fail "kafka.tls.enabled: must be true where kafka.tls.ca or kafka.tls.certificate is given" -}}
{{- end -}}
{{- if and .ca.existingSecret .ca.existingConfigMap -}}
{{- fail "kafka.tls.ca.existingConfigMap: must be empty where kafka.tls.ca.existingSecret is given" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.kafka.sasl.username (not .Values.kafka.sasl.existingSecret) -}}
{{- fail "kafka.sasl.existingSecret: must hold the password of kafka.sasl.username" -}}
{{- end -}}
{{- if and (eq .Values.kafka.sasl.mechanism "PLAIN") (not .Values.kafka.tls.enabled) -}}
{{- fail "kafka.sasl.mechanism: PLAIN sends the password as it is, and so needs kafka.tls.enabled" -}}
{{- end -}}
{{- $claim := include "timeside.storeClaim" . -}}
{{- if and (not .Values.store.url) (not $claim) -}}
{{- fail "store: needs store.url (s3://bucket/prefix), or store.volume.existingClaim, or store.volume.size" -}}
{{- end -}}
{{- if and .Values.store.url $claim -}}
{{- fail "store.url: must be empty where store.volume is given" -}}
{{- end -}}
{{- $keda := .Values.autoscaling.keda -}}
{{- if and (eq $keda.source "prometheus") (not $keda.serverAddress) -}}
{{- fail "autoscaling.keda.serverAddress: must be Prometheus' URL where autoscaling.keda.source is prometheus" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: must name a Gateway where httpRoute.enabled" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: must name a host where ingress.enabled" -}}
{{- end -}}
{{- $root := . -}}
{{- $seen := dict -}}
{{- range include "timeside.components" . | fromJsonArray -}}
  {{- $key := .name | camelcase | untitle -}}
  {{- if .isPool -}}{{- $key = printf "pools[%s]" .name -}}{{- end -}}
  {{- if hasKey $seen .name -}}{{- fail (printf "%s.name: is taken by another component" $key) -}}{{- end -}}
  {{- $_ := set $seen .name true -}}
  {{- $of := dict "root" $root "of" . -}}
  {{- $most := include "timeside.most" $of | int -}}
  {{- $partitions := include "timeside.partitions" $of -}}
  {{- if and $partitions (gt $most ($partitions | int)) -}}
    {{- $what := eq (include "timeside.mode" $of) "none" | ternary "replicas" "autoscaling.max" -}}
    {{- fail (printf "%s.%s: %d pods, but %s have %s partitions, so the others would be idle" $key $what $most (join ", " .topics) $partitions) -}}
  {{- end -}}
  {{- if ne (include "timeside.mode" $of) "none" -}}
    {{- if gt (int .autoscaling.min) (int .autoscaling.max) -}}
    {{- fail (printf "%s.autoscaling.min: %d is more than max=%d" $key (int .autoscaling.min) (int .autoscaling.max)) -}}
    {{- end -}}
    {{- if and (eq (include "timeside.mode" $of) "hpa") (lt (int .autoscaling.min) 1) -}}
    {{- fail (printf "%s.autoscaling.min: must be 1 or more where CPU decides: a pod that is not there uses none" $key) -}}
    {{- end -}}
    {{- if and (eq (include "timeside.mode" $of) "hpa") (not .autoscaling.cpuPercent) -}}
    {{- fail (printf "%s.autoscaling.cpuPercent: must say at what load there are to be more pods" $key) -}}
    {{- end -}}
    {{- if and (eq (include "timeside.mode" $of) "keda") (not .autoscaling.queued_s) -}}
    {{- fail (printf "%s.autoscaling.queued_s: must say how many audio seconds a pod is for" $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* What may be meant so, but often is not. */}}
{{- define "timeside.warnings" -}}
{{- $all := list -}}
{{- if not .Values.networkPolicy.enabled -}}
{{- $all = append $all "networkPolicy.enabled is false: every pod may connect to everywhere." -}}
{{- else -}}
{{- range $of := list "kafka" "database" "store" -}}
{{- if not (index $.Values.networkPolicy $of).to -}}
{{- $all = append $all (printf "networkPolicy.%s.to is empty: its ports are open to every address." $of) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.autoscaling.mode "keda") (eq .Values.autoscaling.keda.source "postgresql") (not .Values.autoscaling.keda.existingSecret) -}}
{{- $all = append $all "autoscaling.keda.existingSecret is empty: KEDA asks the database with an account that may also write." -}}
{{- end -}}
{{- if and (or .Values.httpRoute.enabled .Values.ingress.enabled) (not .Values.api.settings.proxies) -}}
{{- $all = append $all "api.settings.proxies is 0: all clients behind the proxy count as one address." -}}
{{- end -}}
{{- $all | toJson -}}
{{- end -}}
