//! XML as a tree of what a policy needs: elements, attributes, text. No DTD, no entities but the five of XML itself.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::MAX_POLICY;
use crate::error::PolicyError;

/// A policy nests ten deep.
const MAX_DEPTH: usize = 16;

const NO_CHAR: &str = "it has a character that XML cannot hold";

/// `Char` of XML 1.0 §2.2: a reference to any other is no better than the character itself.
fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

/// An element, its attributes in order, its text joined.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    /// Line of its start, from 1.
    line: usize,
    attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

impl Element {
    /// The root element of a document.
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY {
            return Err(PolicyError::xml("the file", format!("it has more than {MAX_POLICY} bytes")));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if !text.chars().all(is_char) {
            return Err(PolicyError::xml("the file", NO_CHAR));
        }
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut lines = Lines { text, at: 0, line: 1 };
        loop {
            let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let line = lines.of(at);
            let event =
                reader.read_event().map_err(|e| PolicyError::xml(format!("line {line}"), e.to_string()))?;
            let wrong = |why: &str| PolicyError::xml(format!("line {line}"), why);
            match event {
                Event::Start(start) => {
                    if open.len() >= MAX_DEPTH {
                        return Err(wrong("elements are nested too deep"));
                    }
                    open.push(Self::started(&start, line)?);
                }
                Event::Empty(start) => {
                    let element = Self::started(&start, line)?;
                    close(element, &mut open, &mut root).map_err(wrong)?;
                }
                Event::End(_) => {
                    let element = open.pop().ok_or_else(|| wrong("an element ends that never began"))?;
                    close(element, &mut open, &mut root).map_err(wrong)?;
                }
                Event::Text(text) => add(&text.xml10_content(), &mut open).map_err(wrong)?,
                Event::CData(text) => add(&text.xml10_content(), &mut open).map_err(wrong)?,
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|e| wrong(&e.to_string()))?;
                    let predefined = quick_xml::escape::resolve_predefined_entity(&reference);
                    let text = character.map(String::from).or_else(|| predefined.map(str::to_owned));
                    add(&text.ok_or_else(|| wrong("an unknown entity"))?, &mut open).map_err(wrong)?;
                }
                Event::DocType(_) => return Err(wrong("a policy has no document type")),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        if !open.is_empty() {
            return Err(PolicyError::xml("the end", "an element is still open"));
        }
        root.ok_or_else(|| PolicyError::xml("the file", "there is no element"))
    }

    fn started(start: &BytesStart<'_>, line: usize) -> Result<Self, PolicyError> {
        let name = start.local_name().as_ref().to_owned();
        let wrong = |why: String| PolicyError::xml(format!("{name}, line {line}"), why);
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|e| wrong(e.to_string()))?;
            let value =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| wrong(e.to_string()))?;
            if !value.chars().all(is_char) {
                return Err(wrong(NO_CHAR.to_owned()));
            }
            attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        Ok(Self { name, line, attributes, children: Vec::new(), text: String::new() })
    }

    /// Where it stands, for an error.
    pub(super) fn place(&self) -> String {
        format!("{}, line {}", self.name, self.line)
    }

    pub(super) fn wrong(&self, why: impl Into<String>) -> PolicyError {
        PolicyError::xml(self.place(), why)
    }

    /// An attribute, if it is there.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// An attribute that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, PolicyError> {
        self.attribute(name).ok_or_else(|| self.wrong(format!("the attribute {name} is missing")))
    }

    /// Refuses attributes other than these, and those of XML namespaces.
    pub(super) fn only_attributes(&self, known: &[&str]) -> Result<(), PolicyError> {
        let ours = |key: &str| known.contains(&key) || key == "xmlns" || key.starts_with("xmlns:");
        match self.attributes.iter().find(|(key, _)| !ours(key)) {
            Some((key, _)) => Err(self.wrong(format!("the attribute {key} is not known"))),
            None => Ok(()),
        }
    }

    /// Refuses children other than these.
    pub(super) fn only_children(&self, known: &[&str]) -> Result<(), PolicyError> {
        match self.children.iter().find(|child| !known.contains(&child.name.as_str())) {
            Some(child) => Err(child.wrong(format!("{} has no such element", self.name))),
            None => Ok(()),
        }
    }

    /// The child of this name, if there is one.
    pub(super) fn child(&self, name: &str) -> Result<Option<&Self>, PolicyError> {
        let mut named = self.children.iter().filter(|child| child.name == name);
        let first = named.next();
        match named.next() {
            Some(second) => Err(second.wrong("the element stands twice")),
            None => Ok(first),
        }
    }

    /// Reads an attribute or text in some form.
    pub(super) fn parsed<T>(&self, text: &str, what: &str) -> Result<T, PolicyError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        text.trim().parse().map_err(|e: T::Err| self.wrong(format!("{what} `{text}`: {e}")))
    }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Result<(), &'static str> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return Err("there is a second root element"),
    }
    Ok(())
}

fn add(text: &str, open: &mut [Element]) -> Result<(), &'static str> {
    match open.last_mut() {
        Some(_) if !text.chars().all(is_char) => return Err(NO_CHAR),
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("there is text outside the root element"),
    }
    Ok(())
}

/// Line numbers of rising offsets.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn of(&mut self, at: usize) -> usize {
        let passed = self.text.as_bytes().get(self.at..at).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at = self.at.max(at);
        self.line
    }
}
