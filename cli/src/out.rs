//! Standard output: who reads it, and how it is written to.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// In place, for a person at a terminal.
    Terminal,
    /// Line by line, for a file or another program.
    Plain,
    /// One JSON object per line.
    Json,
}

/// Where results go.
pub struct Out {
    /// How they are shown.
    pub style: Style,
    sink: Box<dyn Write>,
}

impl Out {
    /// Standard output.
    pub fn stdout(json: bool) -> Self {
        let stdout = io::stdout();
        let style = match (json, stdout.is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Plain,
        };
        Self { style, sink: Box::new(stdout.lock()) }
    }

    /// Writes a text, and sees to it that it is read now.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(bytes)?;
        self.sink.flush()
    }

    /// Writes one object on a line of its own.
    pub fn json(&mut self, value: &Value) -> io::Result<()> {
        self.text(&format!("{value}\n"))
    }
}

#[cfg(test)]
pub mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    /// An `Out` whose text can be read.
    #[derive(Clone, Default)]
    pub struct Paper(Rc<RefCell<Vec<u8>>>);

    impl Paper {
        pub fn out(&self, style: Style) -> Out {
            Out { style, sink: Box::new(self.clone()) }
        }

        pub fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).expect("tests write UTF-8")
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
