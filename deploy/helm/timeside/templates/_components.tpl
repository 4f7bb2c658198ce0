{{/*
All Deployments as a JSON list, so that each template handles them alike. Beyond what values say, each has
  name, args, environment (variables beside settings), hasDatabase, hasSecret, isHttp, isLive, readsStore,
  topics (that it shares with its like, and so how many pods have work), query (SQL of the audio that waits for it).
*/}}
{{- define "timeside.components" -}}
{{- $root := . -}}
{{- $all := list -}}
{{- range $role := list "api" "dispatcher" "recorder" -}}
  {{- $of := index $root.Values $role -}}
  {{- $component := dict "name" $role "args" (list "timeside-api" "--role" (eq $role "api" | ternary "http" $role)) -}}
  {{- $_ := set $component "hasDatabase" true -}}
  {{- $_ := set $component "readsStore" (eq $role "api") -}}
  {{- if eq $role "api" -}}
    {{- $_ := set $component "isHttp" true -}}
    {{- $_ := set $component "hasSecret" true -}}
    {{- with $of.pathPrefix -}}{{- $_ := set $component "environment" (dict "TIMESIDE_PATH_PREFIX" .) -}}{{- end -}}
  {{- end -}}
  {{- if eq $role "recorder" -}}{{- $_ := set $component "topics" (list "ts.result") -}}{{- end -}}
  {{- $all = append $all (merge $component (deepCopy $of)) -}}
{{- end -}}

{{- $decoder := dict "name" "decoder" "args" (list "timeside-decoder") "readsStore" true -}}
{{- $_ := set $decoder "topics" (list "ts.cmd.decode.{lane}") -}}
{{- $_ := set $decoder "environment" (dict "TIMESIDE_LANES" (join "," .Values.decoder.lanes)) -}}
{{- $_ := set $decoder "query" (include "timeside.openSeconds" (dict "lanes" .Values.decoder.lanes)) -}}
{{- $all = append $all (merge $decoder (deepCopy .Values.decoder)) -}}

{{- if .Values.decoderLive.enabled -}}
  {{- $live := dict "name" "decoder-live" "args" (list "timeside-decoder") "readsStore" true "isLive" true -}}
  {{- $_ := set $live "topics" (list "ts.cmd.live") -}}
  {{- $lanes := join "," .Values.decoderLive.lanes -}}
  {{- $_ := set $live "environment" (dict "TIMESIDE_LIVE" "true" "TIMESIDE_LANES" $lanes) -}}
  {{- $all = append $all (merge $live (deepCopy .Values.decoderLive)) -}}
{{- end -}}

{{- range .Values.pools -}}
  {{- $pool := default .name .pool -}}
  {{- $lanes := default (list "interactive") .lanes -}}
  {{- $component := dict "args" (list .program) "readsStore" true "isPool" true "pool" $pool "lanes" $lanes -}}
  {{- $_ := set $component "topics" (list "ts.pcm.{pool}.{lane}") -}}
  {{- $_ := set $component "environment" (dict "TIMESIDE_POOL" $pool "TIMESIDE_LANES" (join "," $lanes)) -}}
  {{- $_ := set $component "query" (include "timeside.openSeconds" (dict "lanes" $lanes "pool" $pool)) -}}
  {{- $all = append $all (merge $component (deepCopy .) (dict "replicas" 1 "settings" dict)) -}}
{{- end -}}

{{- if .Values.worker.enabled -}}
  {{- $worker := dict "name" "worker" "args" (list "timeside-worker") "readsStore" true -}}
  {{- $_ := set $worker "topics" (list "ts.cmd.decode.{lane}") -}}
  {{- $_ := set $worker "environment" (dict "TIMESIDE_LANES" (join "," .Values.worker.lanes)) -}}
  {{- $_ := set $worker "query" (include "timeside.openSeconds" (dict "lanes" .Values.worker.lanes)) -}}
  {{- $all = append $all (merge $worker (deepCopy .Values.worker)) -}}
{{- end -}}

{{- $whole := list -}}
{{- range $all -}}
  {{- $whole = append $whole (mustMergeOverwrite (deepCopy $root.Values.pods) .) -}}
{{- end -}}
{{- $whole | toJson -}}
{{- end -}}

{{/* Audio seconds of open runs of some lanes; with a pool, of those that still wait for it. */}}
{{- define "timeside.openSeconds" -}}
SELECT coalesce(sum(run.cost_s), 0)::float8 FROM run WHERE run.lane IN ({{ range $i, $lane := .lanes }}{{ if $i }}, {{ end }}'{{ $lane }}'{{ end }}) AND run.state IN ('queued', 'claimed', 'dispatched', 'running')
{{- with .pool }} AND EXISTS (SELECT FROM result WHERE result.run_id = run.id AND result.state = 'pending' AND result.pool = '{{ . }}'){{ end -}}
{{- end -}}

{{/* How many pods of a component can have work: the most partitions of a topic that it reads. Empty: no limit. */}}
{{- define "timeside.partitions" -}}
{{- $component := .of -}}
{{- $most := 0 -}}
{{- range (.root.Files.Get "files/topics.yaml" | fromYaml).topics -}}
  {{- if has .name (default list $component.topics) -}}{{- $most = max $most (int .partitions) -}}{{- end -}}
{{- end -}}
{{- if $most -}}{{- min $most (int (default $most .root.Values.kafka.maxPartitions)) -}}{{- end -}}
{{- end -}}
