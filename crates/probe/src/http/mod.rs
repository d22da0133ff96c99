//! Requests that net/http serves and sends: HTTP/1, HTTP/2, with TLS or without, since all of it is seen above TLS.
//!
//! | end | where it is seen | HTTP |
//! |---|---|---|
//! | served | `(*response).finishRequest` | 1 |
//! | served | `(*responseWriter).handlerDone` of the HTTP/2 server, in net/http or in golang.org/x/net/http2 | 2 |
//! | taken over | `(*response).Hijack` | 1 |
//! | panicked | the deferred function of `(*conn).serve` | 1 |
//! | answered | the `ret` of `(*Transport).roundTrip` | both |
//!
//! Its beginning is `serverHandler.ServeHTTP`, or `roundTrip`. A function that the linker left out is not needed: the
//! program does not do that.

mod layout;
mod record;

use gobinary::{Binary, Function, Types};

pub use record::{Ending, Request, Side};

use crate::engine::{Constant, Engine, Lost};
use crate::error::{Error, Result};
use crate::sites::{Finder, Site};
use crate::target::Target;
use crate::{programs, runtime};

/// What to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Requests that the target serves.
    pub server: bool,
    /// Requests that it sends.
    pub client: bool,
}

/// A running probe. Dropping it detaches.
#[expect(missing_debug_implementations, reason = "what it holds has none")]
pub struct Probe {
    engine: Engine,
    seen: Seen,
}

/// What of net/http the target has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Seen {
    /// It serves HTTP/1.
    pub server: bool,
    /// It serves HTTP/2.
    pub streams: bool,
    /// It sends requests.
    pub client: bool,
    /// Traces can be read from headers.
    pub traces: bool,
}

/// A program and where it goes.
type Placed = (&'static str, Site);

struct Plan<'b, 'a> {
    functions: &'b [Function<'a>],
    finder: Finder<'b, 'a>,
    types: &'b Types,
    constants: Vec<Constant>,
    placed: Vec<Placed>,
}

impl Probe {
    /// Attaches to what of net/http the target has.
    ///
    /// # Errors
    /// [`Error::NoFunction`] when it has nothing of what is asked for; [`Error::Missing`] for a field that is not
    /// where it should be; as [`Engine::load`] and [`Engine::attach`].
    pub fn attach(target: &Target, options: Options) -> Result<Self> {
        let binary = target.binary()?;
        let functions = binary.functions().map_err(|e| target.not_go(e))?;
        let types = binary.types().map_err(|e| target.not_go(e))?;
        let (plan, seen) = plan(&binary, &functions, &types, options)?;
        let mut engine = Engine::load("http", programs::http()?, &plan.constants)?;
        for (program, site) in &plan.placed {
            engine.attach(program, target, site, 0)?;
        }
        Ok(Self { engine, seen })
    }

    /// What is seen.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Hands over the requests that have ended, in the order of their ends on each processor; how many.
    pub fn drain(&mut self, mut each: impl FnMut(Request)) -> usize {
        self.engine.drain(|record| {
            if let Some(request) = Request::read(record) {
                each(request);
            }
        })
    }

    /// What was not told so far.
    ///
    /// # Errors
    /// As [`Engine::lost`].
    pub fn lost(&self) -> Result<Lost> {
        self.engine.lost()
    }
}

fn plan<'b, 'a>(
    binary: &'b Binary<'a>,
    functions: &'b [Function<'a>],
    types: &'b Types,
    options: Options,
) -> Result<(Plan<'b, 'a>, Seen)> {
    let finder = Finder::new(binary, functions);
    let mut plan = Plan { functions, finder, types, constants: Vec::new(), placed: Vec::new() };
    // Ends before beginnings: a request that is seen to begin is then seen to end.
    let mut seen = Seen::default();
    if options.server {
        (seen.server, seen.streams) = (plan.server()?, plan.streams()?);
        if seen.server || seen.streams {
            plan.enter("serve", "net/http.serverHandler.ServeHTTP")?;
        }
    }
    seen.client = options.client && plan.client()?;
    if !(seen.server || seen.streams || seen.client) {
        return Err(Error::NoFunction {
            name: "net/http.serverHandler.ServeHTTP".to_owned(),
            near: Vec::new(),
        });
    }
    plan.constants.extend(layout::request(types)?);
    let headers = layout::headers(types);
    seen.traces = headers.is_some();
    plan.constants.extend(headers.unwrap_or_default());
    let goid = runtime::goroutine_id(binary, functions).map_or(0, |(offset, _)| offset);
    plan.constants.push(Constant::Long("goid_offset", goid));
    Ok((plan, seen))
}

impl Plan<'_, '_> {
    fn server(&mut self) -> Result<bool> {
        if !self.enter("finish", "net/http.(*response).finishRequest")? {
            return Ok(false);
        }
        self.enter("hijack", "net/http.(*response).Hijack")?;
        self.enter("closing", "net/http.(*conn).serve.func1")?;
        self.constants.extend(layout::response(self.types)?);
        Ok(true)
    }

    fn streams(&mut self) -> Result<bool> {
        // Bundled under a prefix until Go 1.26, in a package of its own since.
        for (function, prefix) in [
            ("net/http.(*http2responseWriter).handlerDone", "net/http.http2"),
            ("net/http/internal/http2.(*responseWriter).handlerDone", "net/http/internal/http2."),
        ] {
            if self.enter("finish_stream", function)? {
                self.constants.extend(layout::stream(self.types, prefix)?);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn client(&mut self) -> Result<bool> {
        let name = "net/http.(*Transport).roundTrip";
        let Some(function) = self.functions.iter().find(|f| f.name == name) else { return Ok(false) };
        let rets = self.finder.rets(function).ok_or_else(|| missing(name))?;
        self.placed.extend(rets.into_iter().map(|site| ("answer", site)));
        self.constants.extend(layout::reply(self.types)?);
        self.enter("ask", name)
    }

    /// Places `program` where `name` is entered; whether there is such a function.
    fn enter(&mut self, program: &'static str, name: &str) -> Result<bool> {
        let Some(function) = self.functions.iter().find(|f| f.name == name) else { return Ok(false) };
        let sites =
            self.finder.sites(function).filter(|sites| sites.arguments).ok_or_else(|| missing(name))?;
        self.placed.push((program, sites.entry));
        Ok(true)
    }
}

fn missing(name: &str) -> Error {
    Error::Missing { what: format!("a place to see `{name}`") }
}
