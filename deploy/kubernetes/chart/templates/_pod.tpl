{{/* What all pods share. .secret: {name, variables}; .settings: open variables; .component, .root. */}}
{{- define "faxhook.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "faxhook.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "faxhook.env" -}}
{{- range .secret.variables }}
- {name: {{ . }}_FILE, value: /run/secrets/faxhook/{{ . }}}
{{- end }}
{{- range $name, $value := .settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "faxhook.mounts" -}}
- {name: secrets, mountPath: /run/secrets/faxhook, readOnly: true}
{{- if .root.Values.caSecret }}
- {name: ca, mountPath: /run/secrets/faxhook-ca, readOnly: true}
{{- end }}
{{- if and .hasMedia (include "faxhook.isFileMedia" .root) }}
- {name: documents, mountPath: /var/lib/faxhook}
{{- end }}
{{- end }}

{{- define "faxhook.volumes" -}}
- name: secrets
  secret:
    secretName: {{ .secret.name }}
    defaultMode: 0440
    items:
    {{- range .secret.variables }}
      - {key: {{ . }}, path: {{ . }}}
    {{- end }}
{{- if .root.Values.caSecret }}
- name: ca
  secret:
    secretName: {{ .root.Values.caSecret }}
    defaultMode: 0444
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- if and .hasMedia (include "faxhook.isFileMedia" .root) }}
- name: documents
  persistentVolumeClaim:
    claimName: {{ .root.Values.media.claim.existing | default (printf "%s-documents" (include "faxhook.name" .root)) }}
{{- end }}
{{- end }}

{{- define "faxhook.spread" -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
  labelSelector:
    matchLabels: {{- include "faxhook.selector" $ | nindent 6 }}
{{- end }}
{{- end }}

{{- define "faxhook.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}
