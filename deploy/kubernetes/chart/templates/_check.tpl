{{/* What types cannot say: each a sentence that names the value and what to do. */}}
{{- define "faxhook.check" -}}
{{- range $part, $needed := dict "ingress" (list "AMQP_URL") "dispatcher" (list "AMQP_URL" "DATABASE_URL" "SECRETS_KEY") "jobs" (list "AMQP_URL" "DATABASE_URL") }}
  {{- $secret := (index $.Values $part).secret }}
  {{- if not $secret.name }}{{ fail (printf "%s.secret.name is empty: name the Secret that holds %s." $part (join ", " $needed)) }}{{ end }}
  {{- range $needed }}
    {{- if not (has . $secret.variables) }}{{ fail (printf "%s.secret.variables lacks %s: add it to the list, and as a key to the Secret %s." $part . $secret.name) }}{{ end }}
  {{- end }}
{{- end }}
{{- if has "DATABASE_URL" .Values.ingress.secret.variables }}{{ fail "ingress.secret.variables holds DATABASE_URL: the ingress must not know the ledger; remove it." }}{{ end }}
{{- range $part := list "ingress" "dispatcher" }}
  {{- range $name, $value := (index $.Values $part).settings }}
    {{- if regexMatch "(TOKEN|SECRET|PASS|KEY|_URL|_HEADERS)$|^AMQP|^DATABASE" $name }}
      {{- if not (has $name (list "TELNYX_API_URL" "PHAXIO_API_URL" "SINCH_API_URL")) }}{{ fail (printf "%s.settings.%s may hold a secret: put it into the Secret %s and list it in %s.secret.variables." $part $name (index $.Values $part).secret.name $part) }}{{ end }}
    {{- end }}
  {{- end }}
  {{- if and (hasKey (index $.Values $part).settings "OTEL_EXPORTER_OTLP_ENDPOINT") $.Values.networkPolicy.enabled (not $.Values.networkPolicy.tracingTo) }}{{ fail (printf "networkPolicy.tracingTo is empty and %s.settings.OTEL_EXPORTER_OTLP_ENDPOINT is set: name where the collector is, or no span reaches it." $part) }}{{ end }}
{{- end }}
{{- if not (regexMatch "^(file:///var/lib/faxhook(/|$)|s3://[^/]+)" .Values.media.url) }}{{ fail (printf "media.url is %q: it must be s3://bucket/prefix, or file:///var/lib/faxhook/… on the shared volume." .Values.media.url) }}{{ end }}
{{- if and (has "PHAXIO_CALLBACK_TOKEN" .Values.ingress.secret.variables) (not .Values.publicUrl) }}{{ fail "publicUrl is empty: Phaxio signs it, so set it to our address as Phaxio knows it, https://…" }}{{ end }}
{{- if and .Values.publicUrl (not (regexMatch "^https://[^/?#]+(/[^?#]*)?$" .Values.publicUrl)) }}{{ fail (printf "publicUrl is %q: it must be https://… without query." .Values.publicUrl) }}{{ end }}
{{- if and .Values.exposure.enabled (not .Values.exposure.host) }}{{ fail "exposure.host is empty: name the host that providers call, or set exposure.enabled to false." }}{{ end }}
{{- if and .Values.exposure.enabled (not .Values.exposure.tlsSecret) }}{{ fail "exposure.tlsSecret is empty: callbacks carry patients' data; name the Secret with the certificate of exposure.host." }}{{ end }}
{{- if gt (int .Values.ingress.autoscaling.minReplicas) (int .Values.ingress.autoscaling.maxReplicas) }}{{ fail "ingress.autoscaling.minReplicas is greater than maxReplicas." }}{{ end }}
{{- if gt (int .Values.dispatcher.minReplicas) (int .Values.dispatcher.maxReplicas) }}{{ fail "dispatcher.minReplicas is greater than dispatcher.maxReplicas." }}{{ end }}
{{- if .Values.rabbitmq.create }}
  {{- if eq (mod (int .Values.rabbitmq.replicas) 2) 0 }}{{ fail (printf "rabbitmq.replicas is %d: a quorum needs an odd number, 3 or 5." (int .Values.rabbitmq.replicas)) }}{{ end }}
  {{- if not .Values.rabbitmq.tlsSecret }}{{ fail "rabbitmq.tlsSecret is empty: name the Secret with the broker's certificate; there is no plain listener." }}{{ end }}
  {{- if not .Values.rabbitmq.definitionsSecret }}{{ fail "rabbitmq.definitionsSecret is empty: name the Secret with definitions.json, which holds users and queues." }}{{ end }}
{{- else if and .Values.networkPolicy.enabled (not .Values.networkPolicy.brokerTo) }}{{ fail "networkPolicy.brokerTo is empty and rabbitmq.create is false: name where the broker is, or no pod may reach it." }}
{{- end }}
{{- if and .Values.postgresql.create (not .Values.postgresql.applicationRole.name) }}{{ fail "postgresql.applicationRole.name is empty: name the role that dispatchers connect as; the owner is for the jobs only." }}{{ end }}
{{- if and (not .Values.postgresql.create) .Values.networkPolicy.enabled (not .Values.networkPolicy.databaseTo) }}{{ fail "networkPolicy.databaseTo is empty and postgresql.create is false: name where PostgreSQL is, or no dispatcher may reach it." }}
{{- end }}
{{- if and .Values.networkPolicy.enabled (hasPrefix "s3:" .Values.media.url) (not .Values.networkPolicy.mediaTo) }}{{ fail "networkPolicy.mediaTo is empty and media.url is s3://: name where the store is, or the ingress cannot keep a document." }}{{ end }}
{{- if and .Values.keda.enabled (not .Values.keda.secret) }}{{ fail "keda.secret is empty: name the Secret with host, tls and ca for KEDA, or set keda.enabled to false." }}{{ end }}
{{- end }}
