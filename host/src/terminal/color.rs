//! Colours, only where a person looks and wants them.

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColorChoice {
    Plain,
    Colored,
}

impl ColorChoice {
    /// The rule of `--help` too: a terminal, unless `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb` say otherwise.
    pub(crate) fn for_stdout() -> Self {
        Self::of(AutoStream::choice(&std::io::stdout()))
    }

    pub(crate) fn for_stderr() -> Self {
        Self::of(AutoStream::choice(&std::io::stderr()))
    }

    fn of(choice: anstream::ColorChoice) -> Self {
        // In CI (`CI` is set), anstream takes even a dumb terminal for one that shows colours.
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match choice {
            anstream::ColorChoice::Never => Self::Plain,
            _ if is_dumb => Self::Plain,
            _ => Self::Colored,
        }
    }

    pub(crate) fn is_colored(self) -> bool {
        self == Self::Colored
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with(AnsiColor::Red.on_default(), text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.with(AnsiColor::Cyan.on_default(), text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    fn with(self, style: Style, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colored => format!("{style}{text}{style:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(ColorChoice::Plain.red("x"), "x");
        assert_eq!(ColorChoice::Colored.red("x"), "\x1b[31mx\x1b[0m");
    }
}
