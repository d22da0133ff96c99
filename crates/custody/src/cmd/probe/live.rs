//! The live view of `custody probe http`: the busiest routes, drawn anew four times a second.
//!
//! Only where standard output is a terminal and nothing else was asked for. `q` or Ctrl-C ends it; the terminal is put
//! back as it was, also when something fails in between.

use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize as _};
use ratatui::text::Line;
use ratatui::widgets::{Row, Table};

use super::func::duration;
use super::routes::Routes;
use crate::failure::Failure;

/// How often the view is drawn.
const DRAWN: Duration = Duration::from_millis(250);

/// The view, while it has the terminal.
pub(super) struct Live {
    terminal: ratatui::DefaultTerminal,
    drawn: Instant,
    last: u64,
    title: String,
}

impl Live {
    /// Takes the terminal.
    pub(super) fn open(title: String) -> Result<Self, Failure> {
        let terminal = ratatui::try_init().map_err(cannot)?;
        Ok(Self { terminal, drawn: Instant::now(), last: 0, title })
    }

    /// Draws when it is time; false when whoever looks on wants to end.
    pub(super) fn turn(&mut self, routes: &Routes, lost: u64) -> Result<bool, Failure> {
        while event::poll(Duration::ZERO).map_err(cannot)? {
            if let Event::Key(key) = event::read().map_err(cannot)?
                && (key.code == KeyCode::Char('q')
                    || key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL))
            {
                return Ok(false);
            }
        }
        let since = self.drawn.elapsed();
        if since < DRAWN {
            return Ok(true);
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = (routes.requests - self.last) as f64 / since.as_secs_f64();
        (self.drawn, self.last) = (Instant::now(), routes.requests);
        let title = &self.title;
        self.terminal.draw(|frame| draw(frame, title, routes, rate, lost)).map_err(cannot)?;
        Ok(true)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn cannot(error: std::io::Error) -> Failure {
    Failure::environment(anyhow::Error::from(error).context("cannot draw on this terminal"))
        .hint("`--lines` prints lines instead")
}

fn draw(frame: &mut Frame<'_>, title: &str, routes: &Routes, rate: f64, lost: u64) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(3), Constraint::Length(1)])
            .areas(frame.area());
    let counts =
        format!("{} requests, {} failed, {lost} lost, {rate:.0} a second", routes.requests, routes.failed);
    frame.render_widget(
        ratatui::widgets::Paragraph::new(vec![Line::from(title).bold(), Line::from(counts)]),
        head,
    );
    let rows = routes.busiest(usize::from(body.height.saturating_sub(1))).into_iter().map(|(key, route)| {
        let (served, method, path) = key;
        let style = if route.failed > 0 { Style::new().red() } else { Style::new() };
        Row::new([
            if *served { "<-" } else { "->" }.to_owned(),
            route.requests.to_string(),
            route.failed.to_string(),
            duration(route.quantile(50)),
            duration(route.quantile(99)),
            duration(route.longest),
            method.clone(),
            path.clone(),
        ])
        .style(style)
    });
    let widths = [
        Constraint::Length(2),
        Constraint::Length(10),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Min(10),
    ];
    let heading =
        Row::new(["", "requests", "failed", "p50 <=", "p99 <=", "longest", "method", "route"]).bold();
    frame.render_widget(Table::new(rows, widths).header(heading), body);
    frame.render_widget(Line::from("<- served  -> sent   q ends").dim(), foot);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_shows_what_was_counted() {
        let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(100, 8)).unwrap();
        terminal.draw(|frame| draw(frame, "pid 7", &Routes::default(), 12.0, 3)).unwrap();
        let shown = terminal.backend().to_string();
        assert!(
            shown.contains("pid 7") && shown.contains("0 requests, 0 failed, 3 lost, 12 a second"),
            "{shown}"
        );
        assert!(shown.contains("p99 <=") && shown.contains("q ends"), "{shown}");
    }
}
