# The role of the Curfew operator in one account, with the least rights that it needs. The policies are iam.json and
# identity-center.json beside this file, which `make generate` writes.
#
#   The account that Curfew runs in: set cluster_arn (EKS Pod Identity), or oidc_provider_arn (IRSA).
#   Every other account:             set hub_role_arn and external_id; the AuthorizationSystem names this role in assumeRole.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "cluster_arn" {
  description = "ARN of the EKS cluster that Curfew runs in, for EKS Pod Identity."
  type        = string
  default     = null
}

variable "oidc_provider_arn" {
  description = "ARN of the cluster's OIDC provider, for IAM roles for service accounts (IRSA)."
  type        = string
  default     = null
}

variable "service_accounts" {
  description = "The service accounts of Curfew that use this role."
  type        = list(string)
  default     = ["curfew-operator", "curfew-revoker"]
}

variable "hub_role_arn" {
  description = "ARN of the operator's role in the account that Curfew runs in, where this account is reached by assumeRole."
  type        = string
  default     = null
}

variable "external_id" {
  description = "The externalId of the AuthorizationSystem. Required with hub_role_arn."
  type        = string
  default     = null
}

variable "spoke_role_arns" {
  description = "ARNs of the roles in other accounts that the operator may assume."
  type        = list(string)
  default     = []
}

variable "identity_center" {
  description = "true in the account that administers IAM Identity Center."
  type        = bool
  default     = false
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  arn_prefix  = "arn:${data.aws_partition.current.partition}:"
  oidc_issuer = var.oidc_provider_arn == null ? "" : replace(var.oidc_provider_arn, "/^.*:oidc-provider\\//", "")
}

data "aws_iam_policy_document" "trust" {
  dynamic "statement" {
    for_each = var.cluster_arn == null ? [] : [var.cluster_arn]
    content {
      sid     = "PodIdentity"
      actions = ["sts:AssumeRole", "sts:TagSession"]
      principals {
        type        = "Service"
        identifiers = ["pods.eks.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [data.aws_caller_identity.current.account_id]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:RequestTag/eks-cluster-arn"
        values   = [statement.value]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:RequestTag/kubernetes-namespace"
        values   = ["curfew-system"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.oidc_provider_arn == null ? [] : [var.oidc_provider_arn]
    content {
      sid     = "ServiceAccounts"
      actions = ["sts:AssumeRoleWithWebIdentity"]
      principals {
        type        = "Federated"
        identifiers = [statement.value]
      }
      condition {
        test     = "StringEquals"
        variable = "${local.oidc_issuer}:aud"
        values   = ["sts.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "${local.oidc_issuer}:sub"
        values   = [for name in var.service_accounts : "system:serviceaccount:curfew-system:${name}"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.hub_role_arn == null ? [] : [var.hub_role_arn]
    content {
      sid = "Hub"
      # EKS Pod Identity passes the tags of its sessions on.
      actions = ["sts:AssumeRole", "sts:TagSession"]
      principals {
        type        = "AWS"
        identifiers = [statement.value]
      }
      condition {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [var.external_id]
      }
    }
  }
}

resource "aws_iam_policy" "operator" {
  name   = "curfew-operator"
  policy = replace(file("${path.module}/iam.json"), "arn:aws:", local.arn_prefix)
}

resource "aws_iam_policy" "identity_center" {
  count  = var.identity_center ? 1 : 0
  name   = "curfew-operator-identity-center"
  policy = replace(file("${path.module}/identity-center.json"), "arn:aws:", local.arn_prefix)
}

resource "aws_iam_role" "operator" {
  name               = "curfew-operator"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy_attachment" "operator" {
  role       = aws_iam_role.operator.name
  policy_arn = aws_iam_policy.operator.arn
}

resource "aws_iam_role_policy_attachment" "identity_center" {
  count      = var.identity_center ? 1 : 0
  role       = aws_iam_role.operator.name
  policy_arn = aws_iam_policy.identity_center[0].arn
}

resource "aws_iam_role_policy" "spokes" {
  count = length(var.spoke_role_arns) == 0 ? 0 : 1
  name  = "assume-roles-of-other-accounts"
  role  = aws_iam_role.operator.name
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "Spokes", Effect = "Allow", Action = ["sts:AssumeRole", "sts:TagSession"], Resource = var.spoke_role_arns }]
  })
}

output "role_arn" {
  value = aws_iam_role.operator.arn
}
