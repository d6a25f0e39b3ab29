{{/*
The labels of every object. `app.kubernetes.io/part-of` is how the operator finds its policies and CRDs.
*/}}
{{- define "curfew.labels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: curfew
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/*
Writes one object with labels and annotations. Arguments: the root, the object. An object's own labels stay.
*/}}
{{- define "curfew.object" -}}
{{- $root := index . 0 }}{{- $object := index . 1 }}
{{- if hasKey $object "Error" }}{{ fail (printf "a generated file of the chart is not YAML: %s" $object.Error) }}{{ end }}
{{- $labels := merge (dict) ($object.metadata.labels | default dict) (include "curfew.labels" $root | fromYaml) $root.Values.extraLabels }}
{{- $_ := set $object.metadata "labels" $labels }}
{{- with merge (dict) ($object.metadata.annotations | default dict) $root.Values.extraAnnotations }}
{{- $_ := set $object.metadata "annotations" . }}
{{- end }}
---
{{ toYaml $object }}
{{ end }}

{{/*
Writes every object of a file. Arguments: the root, the name of the file.
*/}}
{{- define "curfew.file" -}}
{{- $root := index . 0 }}{{- $file := index . 1 }}
{{- range splitList "\n---\n" ($root.Files.Get $file) }}
{{- include "curfew.object" (list $root (fromYaml .)) }}
{{- end }}
{{- end }}

{{/*
The objects of a file that has one service account, with annotations of the account. Arguments: the root, the file, the annotations.
*/}}
{{- define "curfew.account" -}}
{{- $root := index . 0 }}{{- $file := index . 1 }}{{- $annotations := index . 2 }}
{{- range splitList "\n---\n" ($root.Files.Get $file) }}
{{- $object := fromYaml . }}
{{- if and $annotations (eq (get $object "kind") "ServiceAccount") }}{{- $_ := set $object.metadata "annotations" (deepCopy $annotations) }}{{- end }}
{{- include "curfew.object" (list $root $object) }}
{{- end }}
{{- end }}

{{/*
Whether the mutating policies are part of the release. Helm that asks a cluster knows its kinds; without one it knows none, and the version
counts, which is the one of --kube-version or that of helm itself.
*/}}
{{- define "curfew.stamps" -}}
{{- $served := semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version }}
{{- if .Capabilities.APIVersions.Has "v1/Pod" }}{{- $served = .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" }}{{- end }}
{{- or (eq .Values.mutatingPolicies "always") (and (eq .Values.mutatingPolicies "auto") $served) }}
{{- end }}

{{- define "curfew.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else if .tag }}{{ .repository }}:{{ .tag }}{{ else }}{{ fail "set image.tag or image.digest" }}{{ end }}
{{- end -}}
{{- end }}

{{/*
Sets in a Pod template where traces are sent, if they are. A Secret that is missing does not keep the Pod from starting: revocation does not
wait for a collector. Arguments: the root, the Pod template. Writes nothing.
*/}}
{{- define "curfew.traces" -}}
{{- $root := index . 0 }}{{- $template := index . 1 }}
{{- with $root.Values.traces }}
{{- if .endpoint }}
{{- $container := index $template.spec.containers 0 }}
{{- $env := list (dict "name" "OTEL_EXPORTER_OTLP_ENDPOINT" "value" .endpoint) }}
{{- if ne .transport "Tls" }}{{- $env = append $env (dict "name" "CURFEW_TRACES_TRANSPORT" "value" .transport) }}{{- end }}
{{- if .headersSecret.name }}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_HEADERS" "valueFrom" (dict "secretKeyRef" (dict "name" .headersSecret.name "key" .headersSecret.key "optional" true))) }}
{{- end }}
{{- if .resourceAttributes }}
{{- $pairs := list }}
{{- range $key, $value := .resourceAttributes }}{{- $pairs = append $pairs (printf "%s=%s" $key (urlquery $value | replace "+" "%20")) }}{{- end }}
{{- $env = append $env (dict "name" "OTEL_RESOURCE_ATTRIBUTES" "value" (join "," $pairs)) }}
{{- end }}
{{- if .caSecret.name }}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_CERTIFICATE" "value" (printf "/etc/curfew/traces/%s" .caSecret.key)) }}
{{- $mount := dict "name" "traces-ca" "mountPath" "/etc/curfew/traces" "readOnly" true }}
{{- $_ := set $container "volumeMounts" (append ($container.volumeMounts | default list) $mount) }}
{{- $volume := dict "name" "traces-ca" "secret" (dict "secretName" .caSecret.name "items" (list (dict "key" .caSecret.key "path" .caSecret.key)) "optional" true) }}
{{- $_ := set $template.spec "volumes" (append ($template.spec.volumes | default list) $volume) }}
{{- end }}
{{- /* Before what extraEnv says, which goes on to count. */}}
{{- $_ := set $container "env" (concat $env ($container.env | default list)) }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Sets in a Pod template what values change. Arguments: the root, the Pod template, the values of the workload. Writes nothing.
*/}}
{{- define "curfew.pod" -}}
{{- $root := index . 0 }}{{- $template := index . 1 }}{{- $values := index . 2 }}
{{- $pod := $template.spec }}
{{- $container := index $pod.containers 0 }}
{{- $_ := set $container "image" (include "curfew.image" $root) }}
{{- with $root.Values.image.pullPolicy }}{{- $_ := set $container "imagePullPolicy" . }}{{- end }}
{{- with $root.Values.image.pullSecrets }}{{- $_ := set $pod "imagePullSecrets" . }}{{- end }}
{{- with $values.resources }}{{- $_ := set $container "resources" . }}{{- end }}
{{- $_ := set $container "args" (concat $container.args ($values.extraArgs | default list)) }}
{{- $env := concat ($container.env | default list) (ternary list (list (dict "name" "RUST_LOG" "value" $root.Values.logLevel)) (eq $root.Values.logLevel "info")) ($values.extraEnv | default list) }}
{{- if $env }}{{- $_ := set $container "env" $env }}{{- end }}
{{- with $values.extraVolumeMounts }}{{- $_ := set $container "volumeMounts" . }}{{- end }}
{{- with $values.extraVolumes }}{{- $_ := set $pod "volumes" . }}{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
{{- with get $values $key }}{{- $_ := set $pod $key . }}{{- end }}
{{- end }}
{{- if $root.Values.priorityClass.name }}{{- $_ := set $pod "priorityClassName" $root.Values.priorityClass.name }}{{- else }}{{- $_ := unset $pod "priorityClassName" }}{{- end }}
{{- with merge (dict) $template.metadata.labels ($values.podLabels | default dict) $root.Values.extraLabels }}{{- $_ := set $template.metadata "labels" . }}{{- end }}
{{- with merge (dict) ($values.podAnnotations | default dict) $root.Values.extraAnnotations }}{{- $_ := set $template.metadata "annotations" . }}{{- end }}
{{- end }}
