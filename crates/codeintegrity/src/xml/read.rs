use std::collections::HashMap;

use super::NAMESPACE;
use super::element::Element;
use crate::error::PolicyError;
use crate::filetime;
use crate::model::{
    AllowedSigner, CertRoot, DeniedSigner, Eku, FileRule, Policy, PolicyType, RuleKind, Scenario, Setting,
    Signer, SignerGroup, Value,
};
use crate::{Guid, Version};

/// Macros by identifier: they shorten lists of applications.
type Macros = HashMap<String, String>;

/// Reads a policy from XML.
///
/// # Errors
/// [`PolicyError::Xml`] with the element and its line; [`PolicyError::Unsupported`] for AppID tagging policies and
/// application settings.
pub fn read(text: &str) -> Result<Policy, PolicyError> {
    let root = Element::parse(text)?;
    if root.name != "SiPolicy" {
        return Err(root.wrong("the root element of a policy is SiPolicy"));
    }
    if root.attribute("xmlns").is_some_and(|namespace| namespace != NAMESPACE) {
        return Err(root.wrong(format!("the namespace is not {NAMESPACE}")));
    }
    root.only_attributes(&["PolicyType", "FriendlyName"])?;
    root.only_children(&[
        "VersionEx",
        "PolicyTypeID",
        "PlatformID",
        "PolicyID",
        "BasePolicyID",
        "Rules",
        "EKUs",
        "FileRules",
        "Signers",
        "SigningScenarios",
        "UpdatePolicySigners",
        "CiSigners",
        "HvciOptions",
        "Settings",
        "Macros",
        "SupplementalPolicySigners",
        "AppSettings",
    ])?;
    if root.child("AppSettings")?.is_some_and(|settings| !settings.children.is_empty()) {
        return Err(PolicyError::unsupported("AppSettings", "they need the manifest of each application"));
    }
    let macros = macros(&root)?;
    let mut policy = Policy {
        policy_type: policy_type(&root)?,
        friendly_name: root.attribute("FriendlyName").map(str::to_owned),
        version: leaf(&root, "VersionEx")?.unwrap_or(Version::ZERO),
        platform: leaf(&root, "PlatformID")?.unwrap_or_default(),
        update_policy_signers: signer_ids(&root, "UpdatePolicySigners", "UpdatePolicySigner")?,
        ci_signers: signer_ids(&root, "CiSigners", "CiSigner")?,
        supplemental_policy_signers: signer_ids(
            &root,
            "SupplementalPolicySigners",
            "SupplementalPolicySigner",
        )?,
        hvci_options: leaf(&root, "HvciOptions")?.unwrap_or(0),
        ekus: list(&root, "EKUs", &mut |e| eku(e))?,
        file_rules: list(&root, "FileRules", &mut |e| file_rule(e, &macros))?,
        signers: list(&root, "Signers", &mut |e| signer(e))?,
        scenarios: list(&root, "SigningScenarios", &mut |e| scenario(e))?,
        settings: list(&root, "Settings", &mut |e| setting(e))?,
        ..Policy::default()
    };
    identify(&root, &mut policy)?;
    for rule in root.child("Rules")?.map_or(&[][..], |rules| &rules.children) {
        named(rule, "Rule")?;
        rule.only_attributes(&[])?;
        let option = rule.child("Option")?.ok_or_else(|| rule.wrong("there is no Option"))?;
        policy
            .options
            .insert(&option.text)
            .map_err(|name| option.wrong(format!("no such option: {name}")))?;
    }
    Ok(policy)
}

fn policy_type(root: &Element) -> Result<PolicyType, PolicyError> {
    match root.attribute("PolicyType") {
        None | Some("Base Policy") => Ok(PolicyType::Base),
        Some("Supplemental Policy") => Ok(PolicyType::Supplemental),
        Some("AppID Tagging Policy") => {
            Err(PolicyError::unsupported("an AppID tagging policy", "what it compiles to is not known here"))
        }
        Some(other) => Err(root.wrong(format!("there is no policy type `{other}`"))),
    }
}

/// A policy of the older format has one identifier, `PolicyTypeID`.
fn identify(root: &Element, policy: &mut Policy) -> Result<(), PolicyError> {
    let type_id: Option<Guid> = leaf(root, "PolicyTypeID")?;
    let own: Option<Guid> = leaf(root, "PolicyID")?;
    let base: Option<Guid> = leaf(root, "BasePolicyID")?;
    let any =
        own.or(base).or(type_id).ok_or_else(|| root.wrong("there is neither PolicyID nor PolicyTypeID"))?;
    policy.policy_id = own.unwrap_or(any);
    policy.base_policy_id = base.or(type_id).unwrap_or(policy.policy_id);
    Ok(())
}

/// The text of a child, read in its form.
fn leaf<T>(root: &Element, name: &str) -> Result<Option<T>, PolicyError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    root.child(name)?.map(|element| element.parsed(&element.text, name)).transpose()
}

/// Each child of a list.
fn list<T>(
    root: &Element,
    name: &str,
    read: &mut dyn FnMut(&Element) -> Result<T, PolicyError>,
) -> Result<Vec<T>, PolicyError> {
    let Some(list) = root.child(name)? else { return Ok(Vec::new()) };
    list.only_attributes(&[])?;
    list.children.iter().map(read).collect()
}

fn named(element: &Element, name: &str) -> Result<(), PolicyError> {
    if element.name == name { Ok(()) } else { Err(element.wrong(format!("only {name} may stand here"))) }
}

/// A list of references, by one attribute of each element.
fn references(
    root: &Element,
    list_name: &str,
    name: &str,
    attribute: &str,
) -> Result<Vec<String>, PolicyError> {
    list(root, list_name, &mut |element| {
        named(element, name)?;
        element.only_attributes(&[attribute])?;
        Ok(element.required(attribute)?.to_owned())
    })
}

fn signer_ids(root: &Element, list_name: &str, name: &str) -> Result<Vec<String>, PolicyError> {
    references(root, list_name, name, "SignerId")
}

/// The values of an attribute over all children of one name.
fn each(element: &Element, name: &str, attribute: &str) -> Result<Vec<String>, PolicyError> {
    let named = element.children.iter().filter(|child| child.name == name);
    named
        .map(|child| {
            child.only_attributes(&[attribute])?;
            Ok(child.required(attribute)?.to_owned())
        })
        .collect()
}

fn owned(element: &Element, attribute: &str) -> Option<String> {
    element.attribute(attribute).map(str::to_owned)
}

fn hexadecimal(element: &Element, text: &str) -> Result<Vec<u8>, PolicyError> {
    hex::decode(text.trim()).map_err(|_| element.wrong(format!("`{text}` is not hexadecimal")))
}

fn macros(root: &Element) -> Result<Macros, PolicyError> {
    let pairs = list(root, "Macros", &mut |element| {
        named(element, "Macro")?;
        element.only_attributes(&["Id", "Value"])?;
        Ok((element.required("Id")?.to_owned(), element.required("Value")?.to_owned()))
    })?;
    Ok(pairs.into_iter().collect())
}

fn eku(element: &Element) -> Result<Eku, PolicyError> {
    named(element, "EKU")?;
    element.only_attributes(&["ID", "Value", "FriendlyName"])?;
    Ok(Eku {
        id: element.required("ID")?.to_owned(),
        friendly_name: owned(element, "FriendlyName"),
        value: hexadecimal(element, element.required("Value")?)?,
    })
}

fn file_rule(element: &Element, macros: &Macros) -> Result<FileRule, PolicyError> {
    let generic = element.name == "FileRule";
    let kind = match (element.name.as_str(), element.attribute("Type")) {
        ("Allow", None) | ("FileRule", Some("Match")) => RuleKind::Allow,
        ("Deny", None) | ("FileRule", Some("Exclude")) => RuleKind::Deny,
        ("FileAttrib", None) | ("FileRule", Some("Attribute")) => RuleKind::Attribute,
        _ => {
            return Err(
                element.wrong("only Allow, Deny, FileAttrib or FileRule of a known Type may stand here")
            );
        }
    };
    element.only_attributes(&[
        if generic { "Type" } else { "ID" },
        "ID",
        "FriendlyName",
        "FileName",
        "InternalName",
        "FileDescription",
        "ProductName",
        "PackageFamilyName",
        "PackageVersion",
        "MinimumFileVersion",
        "MaximumFileVersion",
        "Hash",
        "AppIDs",
        "FilePath",
    ])?;
    let version =
        |name: &str| element.attribute(name).map(|text| element.parsed::<Version>(text, name)).transpose();
    Ok(FileRule {
        id: element.required("ID")?.to_owned(),
        friendly_name: owned(element, "FriendlyName"),
        kind,
        file_name: owned(element, "FileName"),
        internal_name: owned(element, "InternalName"),
        file_description: owned(element, "FileDescription"),
        product_name: owned(element, "ProductName"),
        package_family_name: owned(element, "PackageFamilyName"),
        package_version: version("PackageVersion")?,
        minimum_version: version("MinimumFileVersion")?,
        maximum_version: version("MaximumFileVersion")?,
        hash: hexadecimal(element, element.attribute("Hash").unwrap_or_default())?,
        app_ids: element.attribute("AppIDs").map_or(Ok(Vec::new()), |text| app_ids(element, text, macros))?,
        file_path: owned(element, "FilePath"),
    })
}

/// One application, or several macros, `$(A)$(B)`.
fn app_ids(element: &Element, text: &str, macros: &Macros) -> Result<Vec<String>, PolicyError> {
    if !text.starts_with('$') {
        return Ok(vec![text.to_owned()]);
    }
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(inner) = rest.strip_prefix("$(") {
        let Some((id, behind)) = inner.split_once(')') else { break };
        let value = macros.get(id).ok_or_else(|| element.wrong(format!("there is no macro {id}")))?;
        found.push(value.clone());
        rest = behind.trim_start();
    }
    if rest.is_empty() {
        Ok(found)
    } else {
        Err(element.wrong(format!("AppIDs `{text}` is no list of macros")))
    }
}

fn signer(element: &Element) -> Result<Signer, PolicyError> {
    named(element, "Signer")?;
    element.only_attributes(&["ID", "Name", "SignTimeAfter"])?;
    element.only_children(&[
        "CertRoot",
        "CertEKU",
        "CertIssuer",
        "CertPublisher",
        "CertOemID",
        "FileAttribRef",
    ])?;
    let after = element.attribute("SignTimeAfter").map(|text| {
        filetime::parse(text).ok_or_else(|| element.wrong(format!("`{text}` is no date and time")))
    });
    let root = element.child("CertRoot")?.ok_or_else(|| element.wrong("there is no CertRoot"))?;
    root.only_attributes(&["Type", "Value"])?;
    let value = hexadecimal(root, root.required("Value")?)?;
    let root = match (root.required("Type")?, value.as_slice()) {
        ("TBS", _) => CertRoot::Tbs(value),
        ("Wellknown", [number]) => CertRoot::WellKnown(*number),
        (other, _) => return Err(root.wrong(format!("CertRoot `{other}` with this value is not known"))),
    };
    let value_of = |name: &str| -> Result<Option<String>, PolicyError> {
        element.child(name)?.map(|child| child.required("Value").map(str::to_owned)).transpose()
    };
    Ok(Signer {
        id: element.required("ID")?.to_owned(),
        name: element.attribute("Name").unwrap_or_default().to_owned(),
        root,
        ekus: each(element, "CertEKU", "ID")?,
        issuer: value_of("CertIssuer")?,
        publisher: value_of("CertPublisher")?,
        oem_id: value_of("CertOemID")?,
        file_attributes: each(element, "FileAttribRef", "RuleID")?,
        sign_time_after: after.transpose()?.unwrap_or(0),
    })
}

fn scenario(element: &Element) -> Result<Scenario, PolicyError> {
    named(element, "SigningScenario")?;
    element.only_attributes(&[
        "ID",
        "FriendlyName",
        "Value",
        "InheritedScenarios",
        "MinimumHashAlgorithm",
    ])?;
    element.only_children(&["ProductSigners", "TestSigners", "TestSigningSigners"])?;
    let number = element.attribute("MinimumHashAlgorithm").unwrap_or("0");
    let inherited = element.attribute("InheritedScenarios").unwrap_or_default();
    let inherited = inherited.split(',').map(str::trim).filter(|id| !id.is_empty());
    let id = element.required("ID")?.to_owned();
    Ok(Scenario {
        // A scenario that names itself among those it inherits means the others.
        inherited: inherited.filter(|other| *other != id).map(str::to_owned).collect(),
        friendly_name: owned(element, "FriendlyName"),
        value: element.parsed(element.required("Value")?, "Value")?,
        minimum_hash_algorithm: element.parsed(number, "MinimumHashAlgorithm")?,
        product: element.child("ProductSigners")?.map(group).transpose()?,
        test: element.child("TestSigners")?.map(group).transpose()?,
        test_signing: element.child("TestSigningSigners")?.map(group).transpose()?,
        id,
    })
}

fn group(element: &Element) -> Result<SignerGroup, PolicyError> {
    element.only_children(&["AllowedSigners", "DeniedSigners", "FileRulesRef"])?;
    Ok(SignerGroup {
        allowed: list(element, "AllowedSigners", &mut |e| {
            named(e, "AllowedSigner")?;
            let except = each(e, "ExceptDenyRule", "DenyRuleID")?;
            Ok(AllowedSigner { signer: e.required("SignerId")?.to_owned(), except })
        })?,
        denied: list(element, "DeniedSigners", &mut |e| {
            named(e, "DeniedSigner")?;
            let except = each(e, "ExceptAllowRule", "AllowRuleID")?;
            Ok(DeniedSigner { signer: e.required("SignerId")?.to_owned(), except })
        })?,
        file_rules: references(element, "FileRulesRef", "FileRuleRef", "RuleID")?,
    })
}

fn setting(element: &Element) -> Result<Setting, PolicyError> {
    named(element, "Setting")?;
    element.only_attributes(&["Provider", "Key", "ValueName"])?;
    let value = element.child("Value")?.ok_or_else(|| element.wrong("there is no Value"))?;
    let [typed] = value.children.as_slice() else { return Err(value.wrong("there must be one typed value")) };
    Ok(Setting {
        provider: element.required("Provider")?.to_owned(),
        key: element.required("Key")?.to_owned(),
        value_name: element.required("ValueName")?.to_owned(),
        value: match typed.name.as_str() {
            "Boolean" => match typed.text.trim() {
                "true" | "1" => Value::Boolean(true),
                "false" | "0" => Value::Boolean(false),
                other => return Err(typed.wrong(format!("`{other}` is neither true nor false"))),
            },
            "DWord" => Value::Number(typed.parsed(&typed.text, "DWord")?),
            "Binary" => Value::Bytes(hexadecimal(typed, &typed.text)?),
            "String" => Value::Text(typed.text.clone()),
            _ => return Err(typed.wrong("a value is Boolean, DWord, Binary or String")),
        },
    })
}
