{{/* Names, labels, images. */}}
{{- define "faxhook.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "faxhook.labels" -}}
app.kubernetes.io/part-of: faxhook
app.kubernetes.io/instance: {{ include "faxhook.name" .root }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end }}

{{- define "faxhook.selector" -}}
app.kubernetes.io/instance: {{ include "faxhook.name" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "faxhook.image" -}}
{{- $last := last (splitList "/" .image) -}}
{{- if contains ":" $last }}{{ .image }}{{ else }}{{ .image }}:{{ .root.Chart.AppVersion }}{{ end -}}
{{- end }}

{{- define "faxhook.isFileMedia" -}}
{{- if hasPrefix "file:" .Values.media.url }}yes{{ end -}}
{{- end }}

{{- define "faxhook.drainSeconds" -}}
{{- min 120 (mul 2 (int .Values.dispatcher.longestTimeoutSeconds)) -}}
{{- end }}
