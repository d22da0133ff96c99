//! Path patterns: `ctx.phone`, `obj.*`, `*.mobile`, `ctx.*phone*`. `*` stands for any characters of a name, and in
//! place of the section for all three.

use event::Event;

/// One of the three maps of an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Section {
    Sub,
    Obj,
    Ctx,
}

impl Section {
    pub(crate) const ALL: [Self; 3] = [Self::Sub, Self::Obj, Self::Ctx];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sub => "sub",
            Self::Obj => "obj",
            Self::Ctx => "ctx",
        }
    }

    pub(crate) fn of<'e, 'a>(self, event: &'e Event<'a>) -> &'e event::Fields<'a> {
        match self {
            Self::Sub => &event.sub,
            Self::Obj => &event.obj,
            Self::Ctx => &event.ctx,
        }
    }

    pub(crate) fn of_mut<'e, 'a>(self, event: &'e mut Event<'a>) -> &'e mut event::Fields<'a> {
        match self {
            Self::Sub => &mut event.sub,
            Self::Obj => &mut event.obj,
            Self::Ctx => &mut event.ctx,
        }
    }

    /// `ctx.phone` taken apart.
    pub(crate) fn split(path: &str) -> Option<(Self, &str)> {
        let (section, name) = path.split_once('.')?;
        Self::ALL.into_iter().find(|known| known.as_str() == section).map(|known| (known, name))
    }
}

/// A pattern of paths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    /// Nothing for all three.
    section: Option<Section>,
    name: Name,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Name {
    Exact(String),
    /// What stands between the stars.
    Pieces(Vec<String>),
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(80).collect();
        let bad = |why: &str| format!("the field `{shown}` {why}");
        let (section, name) = text.split_once('.').ok_or_else(|| bad("is not SECTION.NAME"))?;
        let section = match section {
            "*" => None,
            word => Some(
                Section::ALL
                    .into_iter()
                    .find(|known| known.as_str() == word)
                    .ok_or_else(|| bad("does not begin with sub, obj, ctx or *"))?,
            ),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-*".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            return Err(bad("names no field: letters, digits, `_`, `.`, `-` and `*`, at most 64"));
        }
        let name = match name.contains('*') {
            false => Name::Exact(name.to_owned()),
            true => Name::Pieces(name.split('*').map(str::to_owned).collect()),
        };
        Ok(Self { section, name })
    }

    pub(crate) fn matches(&self, section: Section, name: &str) -> bool {
        self.section.is_none_or(|own| own == section)
            && match &self.name {
                Name::Exact(own) => own == name,
                Name::Pieces(pieces) => glob(pieces, name),
            }
    }

    /// The lengths of names that it can match, as a set of bits; all of them for a pattern with a star.
    pub(crate) fn lengths(&self) -> u128 {
        match &self.name {
            Name::Exact(name) => 1 << name.len().min(127),
            Name::Pieces(_) => u128::MAX,
        }
    }

    pub(crate) fn sections(&self) -> impl Iterator<Item = Section> {
        Section::ALL.into_iter().filter(|section| self.section.is_none_or(|own| own == *section))
    }
}

/// The first piece in front, the last behind, the others between in order, each at the first place.
fn glob(pieces: &[String], name: &str) -> bool {
    let [first, middle @ .., last] = pieces else { return false };
    let Some(mut rest) = name.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        let Some(at) = rest.find(piece.as_str()) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        let matches = |pattern: &str, section, name| Pattern::parse(pattern).unwrap().matches(section, name);
        assert!(matches("ctx.phone", Section::Ctx, "phone"));
        assert!(!matches("ctx.phone", Section::Obj, "phone"));
        assert!(matches("*.phone", Section::Sub, "phone"));
        assert!(matches("ctx.*phone*", Section::Ctx, "home_phone_2"));
        assert!(matches("ctx.a*b*c", Section::Ctx, "abc"));
        assert!(!matches("ctx.a*b*c", Section::Ctx, "acb"));
        assert!(!matches("ctx.ab*ba", Section::Ctx, "aba"));
        assert!(matches("obj.*", Section::Obj, "x"));
        for bad in ["phone", "tab.x", "ctx.", "ctx.a b", "ctx.é"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
