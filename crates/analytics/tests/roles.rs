//! The roles that the providers ship, and what they permit.
use curfew_analytics::{
    aws::{catalogue::Actions, managed::granted},
    catalogue::{Catalogue, Level},
    places::Places,
    roles::{
        aws::ManagedPolicies,
        azure::{self, Plane},
        gcp,
    },
    score::{Holding, Holdings, score},
};

#[test]
fn managed_policies_of_aws() {
    let (policies, actions) = (ManagedPolicies::builtin(), Actions::builtin());
    assert_eq!(policies.all().len(), 1_582);
    assert_eq!(policies.all().iter().filter(|policy| policy.attachable()).count(), 1_221);
    let admin = policies.find("arn:aws-cn:iam::aws:policy/AdministratorAccess").unwrap();
    assert_eq!(policies.named("AdministratorAccess"), Some(admin));
    assert_eq!(policies.named("ViewOnlyAccess").unwrap().arn, "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess");
    assert_eq!((policies.find("arn:aws:iam::123456789012:policy/AdministratorAccess"), policies.find("nothing")), (None, None));
    for policy in policies.all() {
        let granted = granted(actions, &policy.document).unwrap_or_else(|error| panic!("{}: {error}", policy.arn));
        assert!(granted.everywhere.is_subset(&granted.actions), "{}", policy.arn);
    }
    assert_eq!(granted(actions, &admin.document).unwrap().everywhere.len(), u64::from(actions.len()));
}

#[test]
fn denies_and_conditions_of_a_managed_policy() {
    let actions = Actions::builtin();
    let names = |ids: roaring::RoaringBitmap| ids.iter().map(|id| actions.name(id)).collect::<Vec<_>>();
    let document = r#"{"Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "Resource": "*"},
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:*:*:q"},
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": ["*"], "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Effect": "Deny", "NotAction": ["s3:*", "sqs:*", "sns:*"], "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*"},
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}]}"#;
    let found = granted(actions, document).unwrap();
    assert_eq!(names(found.actions), ["s3:GetObject", "s3:PutObject", "sns:Publish", "sqs:SendMessage"]);
    assert_eq!(names(found.everywhere), ["s3:GetObject"]);
    for (broken, why) in [("{", "not valid JSON"), ("{}", "no Statement"), (r#"{"Statement": {"Action": "*"}}"#, "no Effect")] {
        assert!(granted(actions, broken).unwrap_err().contains(why), "{broken}");
    }
}

#[test]
fn built_in_roles_of_azure() {
    let roles = azure::Roles::builtin();
    assert_eq!(roles.roles().len(), 928);
    let (owner, contributor, reader) = (roles.role("Owner").unwrap(), roles.role("contributor").unwrap(), roles.role("Reader").unwrap());
    assert_eq!(roles.role("8E3AF657-A8FF-443C-A75C-2FE8C4BCB635"), Some(owner));
    let permits = |role: &azure::Role, operation: &str| role.permits(operation, Plane::Management);
    let assign = "microsoft.authorization/ROLEASSIGNMENTS/write";
    assert!(permits(owner, assign) && !permits(contributor, assign) && !permits(reader, assign));
    assert!(permits(reader, "Microsoft.Unknown/things/read") && !permits(reader, "Microsoft.Unknown/things/write"));
    // Patterns of one plane never match operations of the other.
    let blob = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read";
    assert!(!owner.permits(blob, Plane::Data) && roles.role("Storage Blob Data Reader").unwrap().permits(blob, Plane::Data));
    // Blocks add up, and conditions are told.
    assert!(roles.role("Key Vault Data Access Administrator").unwrap().conditional() && !owner.conditional());
    for role in roles.roles() {
        for plane in [Plane::Management, Plane::Data] {
            let names = roles.operations(plane);
            let permitted = roles.permitted(role, plane);
            for id in (0..names.len()).step_by(97) {
                assert_eq!(permitted.contains(id), role.permits(names.get(id), plane), "{}: {}", role.name, names.get(id));
            }
        }
    }
}

#[test]
fn weights_of_azure() {
    let roles = azure::Roles::builtin();
    let weight = |plane, name: &str| {
        let id = roles.operations(plane).find(name).unwrap_or_else(|| panic!("{name}"));
        let operation = roles.operation(plane, id);
        (operation.weight, operation.level)
    };
    let (management, data) = (Plane::Management, Plane::Data);
    let rows = [
        (management, "Microsoft.Compute/virtualMachines/read", 2.0, Level::Read),
        (management, "Microsoft.Compute/virtualMachines/write", 10.0, Level::Write),
        (management, "Microsoft.Compute/virtualMachines/delete", 20.0, Level::Delete),
        (management, "Microsoft.Authorization/roleAssignments/write", 100.0, Level::Escalation),
        (management, "Microsoft.Authorization/roleAssignments/delete", 40.0, Level::Permissions),
        (management, "Microsoft.Storage/storageAccounts/listKeys/action", 40.0, Level::Secret),
        (data, "Microsoft.KeyVault/vaults/secrets/getSecret/action", 40.0, Level::Secret),
        (data, "Microsoft.KeyVault/vaults/secrets/readMetadata/action", 2.0, Level::Read),
        (data, "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read", 20.0, Level::Read),
    ];
    for (plane, name, expected, level) in rows {
        assert_eq!(weight(plane, name), (expected, level), "{name}");
    }
}

#[test]
fn predefined_roles_of_google_cloud() {
    let roles = gcp::Roles::builtin();
    assert_eq!((roles.roles().len(), roles.len()), (2_390, 13_715));
    let has = |role: &str, permission: &str| {
        let id = roles.find(permission).unwrap_or_else(|| panic!("{permission}"));
        roles.role(role).unwrap_or_else(|| panic!("{role}")).permissions.as_ref().unwrap().contains(id)
    };
    assert!(has("roles/owner", "resourcemanager.projects.setIamPolicy") && !has("roles/editor", "resourcemanager.projects.setIamPolicy"));
    assert!(has("roles/storage.objectViewer", "storage.objects.get") && !has("roles/storage.objectViewer", "storage.objects.delete"));
    assert_eq!((roles.role("roles/nothing"), roles.find("Storage.objects.get")), (None, None));
    // What they permit is not public.
    let unknown: Vec<&str> = roles.roles().iter().filter(|role| role.permissions.is_none()).map(|role| role.name.as_str()).collect();
    assert_eq!(unknown, ["roles/admin", "roles/compliancescanning.serviceAgent", "roles/reader", "roles/writer"]);
}

#[test]
fn weights_of_google_cloud() {
    let roles = gcp::Roles::builtin();
    let rows = [
        ("compute.instances.list", 1.0, Level::List),
        ("compute.instances.get", 2.0, Level::Read),
        ("compute.instances.start", 10.0, Level::Write),
        ("compute.instances.delete", 20.0, Level::Delete),
        ("storage.objects.get", 20.0, Level::Read),
        ("compute.instances.createTagBinding", 20.0, Level::Permissions),
        ("compute.instances.setIamPolicy", 40.0, Level::Permissions),
        ("iam.serviceAccounts.actAs", 40.0, Level::Permissions),
        ("secretmanager.versions.access", 40.0, Level::Secret),
        ("iam.serviceAccountKeys.create", 100.0, Level::Escalation),
        ("resourcemanager.projects.setIamPolicy", 100.0, Level::Escalation),
        ("container.pods.exec", 100.0, Level::Escalation),
    ];
    for (name, weight, level) in rows {
        let found = roles.permission_of(roles.find(name).unwrap_or_else(|| panic!("{name}")));
        assert_eq!((found.weight, found.level), (weight, level), "{name}");
    }
}

/// The score of an idle identity with these permissions everywhere.
fn idle(catalogue: &Catalogue, names: impl Iterator<Item = String>) -> u8 {
    let places = catalogue.permissions()[0].resources;
    let mut held: Holdings = names
        .map(|name| {
            (catalogue.find(&name).unwrap_or_else(|| panic!("{name}")), Holding { granted: Places::first(places), used: Places::default() })
        })
        .collect();
    held.sort_by_key(|(id, _)| *id);
    score(catalogue, &held).pci()
}

#[test]
fn the_score_works_for_azure_and_google_cloud() {
    let roles = gcp::Roles::builtin();
    let catalogue = roles.catalogue(20);
    // Every way of the table exists: 19 alone, and 6 with actAs.
    assert_eq!(catalogue.methods().len(), 25);
    assert!((0..roles.len()).all(|id| catalogue.find(roles.permission_of(id).name) == Some(id as usize)));
    let pci = |role: &str| {
        idle(&catalogue, roles.role(role).unwrap().permissions.iter().flatten().map(|id| roles.permission_of(id).name.to_owned()))
    };
    assert_eq!([pci("roles/owner"), pci("roles/editor"), pci("roles/viewer"), pci("roles/storage.objectViewer")], [100, 98, 67, 3]);

    let roles = azure::Roles::builtin();
    let catalogue = roles.catalogue(20);
    assert_eq!(catalogue.methods().len(), 12);
    let pci = |role: &str| {
        let role = roles.role(role).unwrap();
        let names = |plane, prefix: &'static str| {
            let names = roles.operations(plane);
            roles.permitted(role, plane).into_iter().map(move |id| format!("{prefix}{}", names.get(id)))
        };
        idle(&catalogue, names(Plane::Management, "").chain(names(Plane::Data, "data:")))
    };
    assert_eq!([pci("Owner"), pci("Contributor"), pci("Reader"), pci("Storage Blob Data Reader")], [98, 98, 57, 8]);
}

#[test]
fn what_is_not_a_list_of_roles_is_refused_with_its_line() {
    let gcp = |text: &str| gcp::Roles::parse(&format!("curfew-roles-gcp\t1\n{text}")).unwrap_err().to_string();
    assert!(gcp("permission\tb\npermission\ta\n").contains("line 3: a is not after"));
    assert!(gcp("permission\ta\nrole\tr\tGA\tR\t0-1\n").contains("line 3: no permissions 0-1"));
    assert!(gcp("permission\ta\nrole\tr\tGA\tR\tx\n").contains("line 3: \"x\" is not a range"));
    let azure = |text: &str| azure::Roles::parse(&format!("curfew-roles-azure\t1\n{text}")).unwrap_err().to_string();
    assert!(azure("allow\ta\t\t\t\t\n").contains("line 2: a block before any role"));
    assert!(azure("role\tr\n").contains("line 2: unknown record"));
    let aws = |text: &str| ManagedPolicies::parse(&format!("curfew-roles-aws\t1\n{text}")).unwrap_err().to_string();
    assert!(aws("policy\ta\tv1\t{}\npolicy\ta\tv1\t{}\n").contains("line 3: a is there twice"));
    assert!(ManagedPolicies::parse("curfew-roles-gcp\t1\n").unwrap_err().to_string().contains("line 1"));
}
