//! Rights on the objects of controllers that act with rights of their own: who writes such an object uses the controller's rights,
//! and what it makes stays.
use super::{REPLACE, Right, Verbs, WRITE};

const fn group(group: &'static str, verbs: Verbs, allows: &'static str, source: &'static str) -> Right {
    Right { group, resources: &["*"], verbs, allows, source }
}

const fn some(group: &'static str, resources: &'static [&'static str], allows: &'static str, source: &'static str) -> Right {
    Right { group, resources, verbs: WRITE, allows, source }
}

/// With the verbs `approve`, `reference` and `use` on its signers and policies.
const CERTIFY: Verbs = Verbs::AnyOf(&["create", "update", "patch", "approve", "reference", "use"]);

const APPLY: &str = "have a controller apply objects with its own rights";
const ENFORCE: &str = "change policies that others are subject to";
const RUN: &str = "have a controller run Pods";
const CLOUD: &str = "have a controller create identities and resources outside of the cluster";
const SECRETS: &str = "have a controller write Secrets";
const CERTIFICATES: &str = "have certificates issued";
const ACCESS: &str = "change who has access by another product";
const NODES: &str = "run code on nodes";

#[rustfmt::skip]
pub(super) const RIGHTS: &[Right] = &[
    // GitOps and package managers.
    group("argoproj.io", WRITE, APPLY, "https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/"),
    group("kustomize.toolkit.fluxcd.io", WRITE, APPLY, "https://fluxcd.io/flux/components/kustomize/kustomizations/"),
    group("helm.toolkit.fluxcd.io", WRITE, APPLY, "https://fluxcd.io/flux/components/helm/helmreleases/"),
    group("source.toolkit.fluxcd.io", WRITE, APPLY, "https://fluxcd.io/flux/components/source/"),
    group("image.toolkit.fluxcd.io", WRITE, APPLY, "https://fluxcd.io/flux/components/image/imageupdateautomations/"),
    group("fluxcd.controlplane.io", WRITE, APPLY, "https://fluxcd.control-plane.io/operator/resourceset/"),
    group("infra.contrib.fluxcd.io", WRITE, CLOUD, "https://flux-iac.github.io/tofu-controller/"),
    group("*.cattle.io", WRITE, APPLY, "https://docs.k3s.io/helm"),
    group("operators.coreos.com", WRITE, APPLY, "https://olm.operatorframework.io/docs/concepts/crds/subscription/"),
    group("olm.operatorframework.io", WRITE, APPLY, "https://operator-framework.github.io/operator-controller/"),
    group("velero.io", WRITE, APPLY, "https://velero.io/docs/main/restore-reference/"),
    some("template.openshift.io", &["templateinstances"], APPLY, "https://docs.openshift.com/container-platform/latest/openshift_images/using-templates.html"),
    // Several clusters.
    group("cluster.x-k8s.io", WRITE, NODES, "https://cluster-api.sigs.k8s.io/user/concepts"),
    group("*.cluster.x-k8s.io", WRITE, NODES, "https://cluster-api.sigs.k8s.io/reference/providers"),
    group("*.open-cluster-management.io", WRITE, APPLY, "https://open-cluster-management.io/docs/concepts/work-distribution/manifestwork/"),
    group("*.karmada.io", WRITE, APPLY, "https://karmada.io/docs/userguide/scheduling/propagation-policy/"),
    // Generators.
    group("*.crossplane.io", WRITE, APPLY, "https://docs.crossplane.io/latest/composition/compositions/"),
    group("*.upbound.io", WRITE, CLOUD, "https://docs.upbound.io/manuals/packages/providers/"),
    group("kro.run", WRITE, APPLY, "https://kro.run/docs/overview"),
    group("metacontroller.k8s.io", WRITE, APPLY, "https://metacontroller.github.io/metacontroller/api/compositecontroller.html"),
    group("hnc.x-k8s.io", WRITE, APPLY, "https://github.com/kubernetes-retired/hierarchical-namespaces/blob/master/docs/user-guide/concepts.md"),
    group("capsule.clastix.io", WRITE, APPLY, "https://projectcapsule.dev/docs/tenants/"),
    // Policies: those that generate objects, and those that forbid.
    group("kyverno.io", REPLACE, ENFORCE, "https://kyverno.io/docs/policy-types/cluster-policy/generate/"),
    group("policies.kyverno.io", REPLACE, ENFORCE, "https://kyverno.io/docs/policy-types/generating-policy/"),
    group("*.gatekeeper.sh", REPLACE, ENFORCE, "https://open-policy-agent.github.io/gatekeeper/website/docs/howto/"),
    group("policies.kubewarden.io", REPLACE, ENFORCE, "https://docs.kubewarden.io/reference/CRDs"),
    some("security.openshift.io", &["securitycontextconstraints"], ENFORCE, "https://docs.openshift.com/container-platform/latest/authentication/managing-security-context-constraints.html"),
    // Pipelines and workloads.
    group("tekton.dev", WRITE, RUN, "https://tekton.dev/docs/pipelines/auth/"),
    group("*.tekton.dev", WRITE, RUN, "https://tekton.dev/docs/triggers/eventlisteners/"),
    group("*.knative.dev", WRITE, RUN, "https://knative.dev/docs/serving/"),
    group("actions.github.com", WRITE, RUN, "https://docs.github.com/en/actions/concepts/runners/actions-runner-controller"),
    group("sparkoperator.k8s.io", WRITE, RUN, "https://www.kubeflow.org/docs/components/spark-operator/"),
    group("kubeflow.org", WRITE, RUN, "https://www.kubeflow.org/docs/components/trainer/"),
    group("ray.io", WRITE, RUN, "https://docs.ray.io/en/latest/cluster/kubernetes/"),
    group("batch.volcano.sh", WRITE, RUN, "https://volcano.sh/en/docs/vcjob/"),
    group("apps.kruise.io", WRITE, RUN, "https://openkruise.io/docs/"),
    group("jobset.x-k8s.io", WRITE, RUN, "https://jobset.sigs.k8s.io/docs/overview/"),
    group("leaderworkerset.x-k8s.io", WRITE, RUN, "https://lws.sigs.k8s.io/docs/overview/"),
    some("keda.sh", &["scaledjobs"], RUN, "https://keda.sh/docs/latest/concepts/scaling-jobs/"),
    some("kubevirt.io", &["*"], RUN, "https://kubevirt.io/user-guide/user_workloads/lifecycle/"),
    some("apps.openshift.io", &["deploymentconfigs"], RUN, "https://docs.openshift.com/container-platform/latest/applications/deployments/what-deployments-are.html"),
    some("build.openshift.io", &["*"], RUN, "https://docs.openshift.com/container-platform/latest/cicd/builds/understanding-image-builds.html"),
    some("monitoring.coreos.com", &["prometheuses", "prometheusagents", "alertmanagers", "thanosrulers"], RUN, "https://prometheus-operator.dev/docs/api-reference/api/"),
    // Nodes.
    group("*.karpenter.sh", WRITE, NODES, "https://karpenter.sh/docs/concepts/nodepools/"),
    group("karpenter.sh", WRITE, NODES, "https://karpenter.sh/docs/concepts/nodepools/"),
    group("karpenter.k8s.aws", WRITE, NODES, "https://karpenter.sh/docs/concepts/nodeclasses/"),
    group("machineconfiguration.openshift.io", WRITE, NODES, "https://docs.openshift.com/container-platform/latest/machine_configuration/index.html"),
    group("machine.openshift.io", WRITE, NODES, "https://docs.openshift.com/container-platform/latest/machine_management/index.html"),
    // Secrets and certificates. A Secret that such a controller writes can be one that holds a token of a service account.
    group("external-secrets.io", WRITE, SECRETS, "https://external-secrets.io/latest/api/externalsecret/"),
    group("generators.external-secrets.io", WRITE, SECRETS, "https://external-secrets.io/latest/guides/generator/"),
    some("bitnami.com", &["sealedsecrets"], SECRETS, "https://github.com/bitnami-labs/sealed-secrets"),
    group("secrets.hashicorp.com", WRITE, SECRETS, "https://developer.hashicorp.com/vault/docs/deploy/kubernetes/vso"),
    some("secrets-store.csi.x-k8s.io", &["secretproviderclasses"], SECRETS, "https://secrets-store-csi-driver.sigs.k8s.io/topics/sync-as-kubernetes-secret"),
    group("cert-manager.io", CERTIFY, CERTIFICATES, "https://cert-manager.io/docs/usage/certificate/"),
    group("*.cert-manager.io", CERTIFY, CERTIFICATES, "https://cert-manager.io/docs/policy/approval/approver-policy/"),
    // Identities outside of the cluster, and access by other products.
    group("*.services.k8s.aws", WRITE, CLOUD, "https://aws-controllers-k8s.github.io/community/docs/community/overview/"),
    group("*.cnrm.cloud.google.com", WRITE, CLOUD, "https://cloud.google.com/config-connector/docs/overview"),
    group("*.azure.com", WRITE, CLOUD, "https://azure.github.io/azure-service-operator/"),
    group("app.terraform.io", WRITE, CLOUD, "https://developer.hashicorp.com/terraform/cloud-docs/integrations/kubernetes"),
    group("pulumi.com", WRITE, CLOUD, "https://www.pulumi.com/docs/iac/using-pulumi/continuous-delivery/pulumi-kubernetes-operator/"),
    group("iamauthenticator.k8s.aws", WRITE, ACCESS, "https://github.com/kubernetes-sigs/aws-iam-authenticator#crd-alpha"),
    group("authorization.openshift.io", WRITE, ACCESS, "https://docs.openshift.com/container-platform/latest/authentication/using-rbac.html"),
    group("user.openshift.io", WRITE, ACCESS, "https://docs.openshift.com/container-platform/latest/authentication/understanding-authentication.html"),
    group("oauth.openshift.io", WRITE, ACCESS, "https://docs.openshift.com/container-platform/latest/authentication/configuring-oauth-clients.html"),
    group("config.openshift.io", WRITE, ACCESS, "https://docs.openshift.com/container-platform/latest/authentication/understanding-identity-provider.html"),
    group("rbacmanager.reactiveops.io", WRITE, ACCESS, "https://rbac-manager.docs.fairwinds.com/rbacdefinitions/"),
    group("resources.teleport.dev", WRITE, ACCESS, "https://goteleport.com/docs/zero-trust-access/infrastructure-as-code/teleport-operator/"),
    group("*.pinniped.dev", WRITE, ACCESS, "https://pinniped.dev/docs/reference/api-docs/"),
    group("dex.coreos.com", WRITE, ACCESS, "https://dexidp.io/docs/configuration/storage/"),
];
