//! What the library promises to others, as a committed list: `tests/api.txt`. It changes with the sources alone, on purpose:
//! `STARTLE_API=overwrite cargo test --test api` writes it anew, and CHANGELOG.md tells of what others will notice.
//!
//! The list is read from the sources: a stable toolchain's rustdoc gives no JSON. It names what is `pub` in a public
//! module, and of private ones what is re-exported; derived traits and hand-written ones; nothing of macros.

use quote::ToTokens;
use std::collections::BTreeSet;
use std::path::Path;
use syn::{Attribute, Fields, ImplItem, Item, TraitItem, UseTree, Visibility};

/// A module of the sources.
struct Module {
    /// `engine::plan`; empty for the root.
    path: String,
    /// Every module above it and it itself are `pub`.
    open: bool,
    items: Vec<Item>,
}

fn is_pub(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether an item is left out of a product: tests and what serves them.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|a| a.path().is_ident("cfg") && a.to_token_stream().to_string().contains("test"))
}

/// Reads a module and those below it. `home`: the folder of its children.
fn read(file: &Path, home: &Path, path: String, open: bool, found: &mut Vec<Module>) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let items = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display())).items;
    for item in &items {
        let Item::Mod(child) = item else { continue };
        let name = child.ident.to_string();
        // The extension module speaks to Python; its surface is tested from there.
        if is_for_tests(&child.attrs) || child.content.is_some() || name == "python" {
            continue;
        }
        let below = home.join(&name);
        let files = [home.join(format!("{name}.rs")), below.join("mod.rs")];
        let file = files.iter().find(|file| file.exists()).unwrap_or_else(|| panic!("{}", below.display()));
        let path = if path.is_empty() { name } else { format!("{path}::{name}") };
        read(file, &below, path, open && is_pub(&child.vis), found);
    }
    found.push(Module { path, open, items });
}

/// The names that a `pub use` gives; a glob gives `*`.
fn names(tree: &UseTree, found: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => names(&path.tree, found),
        UseTree::Name(name) => drop(found.insert(name.ident.to_string())),
        UseTree::Rename(name) => drop(found.insert(name.ident.to_string())),
        UseTree::Glob(_) => drop(found.insert("*".into())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| names(tree, found)),
    }
}

/// Tokens as people write them.
fn tidy(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string().replace('\n', " ");
    for (wide, narrow) in [
        (" :: ", "::"),
        (" ::", "::"),
        (":: ", "::"),
        (" < ", "<"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("- >", "->"),
        ("->", " -> "),
        ("& ", "&"),
        (" ,", ","),
        (" :", ":"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (" ;", ";"),
        ("[ ", "["),
        (" ]", "]"),
        (" !", "!"),
        ("' ", "'"),
        ("(mut self", "(self"),
        (",(", ", ("),
        ("  ", " "),
        (",)", ")"),
        (", >", ">"),
    ] {
        text = text.replace(wide, narrow);
    }
    text
}

/// `: Clone, Debug (non_exhaustive)`: the derived traits.
fn derived(attributes: &[Attribute]) -> String {
    let mut traits = Vec::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("derive")) {
        traits.extend(tidy(&attribute.meta.require_list().unwrap().tokens).split(',').map(|t| t.trim().to_owned()));
    }
    traits.retain(|name| !name.is_empty());
    traits.sort();
    let open = if attributes.iter().any(|a| a.path().is_ident("non_exhaustive")) { " (non_exhaustive)" } else { "" };
    if traits.is_empty() { open.to_owned() } else { format!(": {}{open}", traits.join(", ")) }
}

fn fields(owner: &str, fields: &Fields, all: bool, list: &mut Vec<String>) {
    for (index, field) in fields.iter().enumerate().filter(|(_, field)| all || is_pub(&field.vis)) {
        let name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
        list.push(format!("{owner}.{name}: {}", tidy(&field.ty)));
    }
}

/// The lines of one item; `own`: the public names of the crate.
fn lines(item: &Item, module: &str, own: &BTreeSet<String>, list: &mut Vec<String>) {
    let named = |ident: &syn::Ident| if module.is_empty() { ident.to_string() } else { format!("{module}::{ident}") };
    match item {
        Item::Struct(it) => {
            list.push(format!("struct {}{}{}", named(&it.ident), tidy(&it.generics), derived(&it.attrs)));
            fields(&named(&it.ident), &it.fields, false, list);
        }
        Item::Enum(it) => {
            list.push(format!("enum {}{}{}", named(&it.ident), tidy(&it.generics), derived(&it.attrs)));
            for variant in &it.variants {
                let variant_name = format!("{}::{}", named(&it.ident), variant.ident);
                list.push(variant_name.clone());
                fields(&variant_name, &variant.fields, true, list);
            }
        }
        Item::Trait(it) => {
            list.push(format!("trait {}{}: {}", named(&it.ident), tidy(&it.generics), tidy(&it.supertraits)));
            for inner in &it.items {
                let (name, signature, default) = match inner {
                    TraitItem::Fn(f) => (&f.sig.ident, tidy(&f.sig), f.default.is_some()),
                    TraitItem::Type(t) => (&t.ident, format!("type {}", t.ident), t.default.is_some()),
                    TraitItem::Const(c) => (&c.ident, tidy(&c.ty), c.default.is_some()),
                    _ => continue,
                };
                let provided = if default { " (provided)" } else { "" };
                list.push(format!("{}::{name}: {signature}{provided}", named(&it.ident)));
            }
        }
        Item::Fn(it) => list.push(format!("{}: {}", named(&it.sig.ident), tidy(&it.sig))),
        Item::Const(it) => list.push(format!("const {}: {}", named(&it.ident), tidy(&it.ty))),
        Item::Static(it) => list.push(format!("static {}: {}", named(&it.ident), tidy(&it.ty))),
        Item::Type(it) => list.push(format!("type {}{} = {}", named(&it.ident), tidy(&it.generics), tidy(&it.ty))),
        Item::Use(it) => list.push(format!("{module} re-exports {}", tidy(&it.tree))),
        Item::Impl(it) => implemented(it, module, own, list),
        _ => {}
    }
}

fn implemented(it: &syn::ItemImpl, module: &str, own: &BTreeSet<String>, list: &mut Vec<String>) {
    let owner = tidy(&it.self_ty);
    let bare = owner.split(['<', ' ']).next().unwrap_or_default().to_owned();
    if !own.contains(&bare) {
        return;
    }
    if let Some((name, _)) = &it.trait_ {
        list.push(format!("{module}: impl{} {} for {owner}", tidy(&it.generics), tidy(name)));
        return;
    }
    for inner in &it.items {
        match inner {
            ImplItem::Fn(f) if is_pub(&f.vis) && !is_for_tests(&f.attrs) => {
                list.push(format!("{module}::{bare}::{}: {}", f.sig.ident, tidy(&f.sig)));
            }
            ImplItem::Const(c) if is_pub(&c.vis) => {
                list.push(format!("{module}::{bare}::{}: {}", c.ident, tidy(&c.ty)));
            }
            _ => {}
        }
    }
}

/// Visibility, attributes and name of what can be public by itself.
fn face(item: &Item) -> Option<(&Visibility, &[Attribute], Option<&syn::Ident>)> {
    Some(match item {
        Item::Struct(it) => (&it.vis, &it.attrs, Some(&it.ident)),
        Item::Enum(it) => (&it.vis, &it.attrs, Some(&it.ident)),
        Item::Trait(it) => (&it.vis, &it.attrs, Some(&it.ident)),
        Item::Fn(it) => (&it.vis, &it.attrs, Some(&it.sig.ident)),
        Item::Const(it) => (&it.vis, &it.attrs, Some(&it.ident)),
        Item::Static(it) => (&it.vis, &it.attrs, Some(&it.ident)),
        Item::Type(it) => (&it.vis, &it.attrs, Some(&it.ident)),
        Item::Use(it) => (&it.vis, &it.attrs, None),
        _ => return None,
    })
}

/// The whole list, sorted.
fn listing() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = Vec::new();
    read(&root.join("lib.rs"), &root, String::new(), true, &mut modules);
    let mut exported = BTreeSet::new();
    for item in modules.iter().flat_map(|module| &module.items) {
        if let Item::Use(it) = item
            && is_pub(&it.vis)
        {
            names(&it.tree, &mut exported);
        }
    }
    let shows = |module: &Module, item: &Item| {
        face(item).is_some_and(|(visibility, attributes, name)| {
            let reached = module.open || name.is_some_and(|name| exported.contains(&name.to_string()));
            is_pub(visibility) && !is_for_tests(attributes) && reached
        })
    };
    let mut own = BTreeSet::new();
    for module in &modules {
        let shown = module.items.iter().filter(|item| shows(module, item));
        own.extend(shown.filter_map(|item| face(item)?.2.map(ToString::to_string)));
    }
    let mut list = Vec::new();
    for module in &modules {
        for item in &module.items {
            let is_impl = matches!(item, Item::Impl(it) if !is_for_tests(&it.attrs));
            if is_impl || shows(module, item) {
                lines(item, &module.path, &own, &mut list);
            }
        }
    }
    list.sort();
    list.join("\n") + "\n"
}

#[test]
fn the_public_interface_changes_on_purpose_only() {
    let (committed, now) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api.txt"), listing());
    if std::env::var("STARTLE_API").is_ok_and(|wish| wish == "overwrite") {
        std::fs::write(&committed, &now).unwrap();
    }
    let before = std::fs::read_to_string(&committed).unwrap();
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.lines().collect(), now.lines().collect());
    let gone: Vec<_> = old.difference(&new).map(|line| format!("- {line}")).collect();
    let came: Vec<_> = new.difference(&old).map(|line| format!("+ {line}")).collect();
    assert!(gone.is_empty() && came.is_empty(), "{}\n{}\nsee tests/api.rs", gone.join("\n"), came.join("\n"));
}

#[test]
fn the_list_sees_what_others_see() {
    let now = listing();
    for line in
        ["engine::Engine::open: fn open", "struct record::Report: ", "trait media::FrameSource", "enum error::Error"]
    {
        assert!(now.lines().any(|l| l.starts_with(line)), "{line}\n{now}");
    }
    let hidden = ["picture_for_tests", "struct python", "pipeline::decode::"];
    assert!(!hidden.iter().any(|name| now.contains(name)), "{now}");
}
