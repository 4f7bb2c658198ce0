{{/* What pods have in common: variables, mounts, volumes. dict "root" $ "of" COMPONENT "settings" SETTINGS */}}

{{- define "timeside.environment" -}}
- {name: TIMESIDE_KAFKA_BOOTSTRAP, value: {{ .root.Values.kafka.bootstrap | quote }}}
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
{{- end -}}
