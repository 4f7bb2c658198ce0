{{/* What pods have in common: variables, mounts, volumes. dict "root" $ "of" COMPONENT "settings" SETTINGS */}}

{{- define "timeside.environment" -}}
- {name: TIMESIDE_KAFKA_BOOTSTRAP, value: {{ .root.Values.kafka.bootstrap | quote }}}
{{- if not .of.noKafka }}
{{- with .root.Values.kafka.tls }}
{{- if .enabled }}
- {name: TIMESIDE_KAFKA_TLS, value: "true"}
{{- if or .ca.existingSecret .ca.existingConfigMap }}
- {name: TIMESIDE_KAFKA_CA, value: /run/secrets/timeside/kafka-ca/ca.crt}
{{- end }}
{{- if .certificate.existingSecret }}
- {name: TIMESIDE_KAFKA_CERTIFICATE, value: /run/secrets/timeside/kafka-certificate/tls.crt}
- {name: TIMESIDE_KAFKA_KEY, value: /run/secrets/timeside/kafka-certificate/tls.key}
{{- end }}
{{- end }}
{{- end }}
{{- with .root.Values.kafka.sasl }}
{{- if .existingSecret }}
{{- if .username }}
- {name: TIMESIDE_KAFKA_USERNAME, value: {{ .username | quote }}}
{{- else }}
- {name: TIMESIDE_KAFKA_USERNAME_FILE, value: /run/secrets/timeside/kafka-login/username}
{{- end }}
- {name: TIMESIDE_KAFKA_PASSWORD_FILE, value: /run/secrets/timeside/kafka-login/password}
- {name: TIMESIDE_KAFKA_MECHANISM, value: {{ .mechanism }}}
{{- end }}
{{- end }}
{{- end }}
- {name: TIMESIDE_HOME, value: /var/lib/timeside}
- {name: TIMESIDE_SCRATCH, value: /var/lib/timeside/scratch}
{{- if .of.readsStore }}
- {name: TIMESIDE_STORE_URL, value: {{ .root.Values.store.url | default "file:///var/lib/timeside/store" | quote }}}
{{- end }}
{{- if .of.hasDatabase }}
- {name: TIMESIDE_DATABASE_URL_FILE, value: /run/secrets/timeside/database/url}
{{- end }}
{{- if .of.hasSecret }}
- {name: TIMESIDE_SECRET_FILE, value: /run/secrets/timeside/secret/secret}
{{- end }}
{{- range $name, $value := .of.environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- range $name, $value := .settings }}
- {name: {{ printf "TIMESIDE_%s" (upper $name) }}, value: {{ include "timeside.setting" $value | quote }}}
{{- end }}
{{- with .of.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "timeside.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: scratch, mountPath: /var/lib/timeside/scratch}
{{- if and .of.readsStore (include "timeside.storeClaim" .root) }}
- {name: store, mountPath: /var/lib/timeside/store}
{{- end }}
{{- if .of.hasDatabase }}
- {name: database, mountPath: /run/secrets/timeside/database, readOnly: true}
{{- end }}
{{- if .of.hasSecret }}
- {name: secret, mountPath: /run/secrets/timeside/secret, readOnly: true}
{{- end }}
{{- range $name, $_ := include "timeside.kafkaFiles" . | fromJson }}
- {name: {{ $name }}, mountPath: /run/secrets/timeside/{{ $name }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "timeside.volumes" -}}
- {name: tmp, emptyDir: {sizeLimit: 1Gi}}
- {name: scratch, emptyDir: {sizeLimit: {{ .of.scratch }}}}
{{- if .of.readsStore }}
{{- with include "timeside.storeClaim" .root }}
- {name: store, persistentVolumeClaim: {claimName: {{ . }}}}
{{- end }}
{{- end }}
{{- if .of.hasDatabase }}
- name: database
  secret:
    secretName: {{ .root.Values.database.existingSecret }}
    items: [{key: {{ .root.Values.database.key }}, path: url}]
{{- end }}
{{- if .of.hasSecret }}
- name: secret
  secret:
    secretName: {{ .root.Values.secret.existingSecret }}
    items: [{key: {{ .root.Values.secret.key }}, path: secret}]
{{- end }}
{{- range $name, $source := include "timeside.kafkaFiles" . | fromJson }}
- {{ merge (dict "name" $name) $source | toJson }}
{{- end }}
{{- end -}}

{{/* Sources of volumes, by name, of what Kafka asks for. */}}
{{- define "timeside.kafkaFiles" -}}
{{- $tls := .root.Values.kafka.tls -}}
{{- $sasl := .root.Values.kafka.sasl -}}
{{- $files := dict -}}
{{- if and $tls.enabled (not .of.noKafka) -}}
  {{- $items := list (dict "key" $tls.ca.key "path" "ca.crt") -}}
  {{- with $tls.ca.existingSecret -}}
    {{- $_ := set $files "kafka-ca" (dict "secret" (dict "secretName" . "items" $items)) -}}
  {{- end -}}
  {{- with $tls.ca.existingConfigMap -}}
    {{- $_ := set $files "kafka-ca" (dict "configMap" (dict "name" . "items" $items)) -}}
  {{- end -}}
  {{- with $tls.certificate -}}
    {{- $items := list (dict "key" .certificateKey "path" "tls.crt") (dict "key" .privateKeyKey "path" "tls.key") -}}
    {{- if .existingSecret -}}
      {{- $_ := set $files "kafka-certificate" (dict "secret" (dict "secretName" .existingSecret "items" $items)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and $sasl.existingSecret (not .of.noKafka) -}}
  {{- $items := list (dict "key" $sasl.passwordKey "path" "password") -}}
  {{- if not $sasl.username -}}
    {{- $items = append $items (dict "key" $sasl.usernameKey "path" "username") -}}
  {{- end -}}
  {{- $_ := set $files "kafka-login" (dict "secret" (dict "secretName" $sasl.existingSecret "items" $items)) -}}
{{- end -}}
{{- $files | toJson -}}
{{- end -}}
