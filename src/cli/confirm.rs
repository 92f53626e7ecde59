//! What is asked of a person before something happens that cannot simply be taken back.

use super::error::CliError;
use super::ui::Stream;
use super::{Env, exit};

/// A question to which one answer is yes.
pub struct Question<'a> {
    /// What is shown, and asked in the end.
    pub text: String,
    /// The answer that means yes.
    pub yes: &'a str,
    /// What nobody confirmed: "this plan".
    pub what: &'a str,
    /// What does not happen then: "nothing was begun".
    pub otherwise: &'a str,
    /// How to go without being asked.
    pub hint: &'a str,
}

impl Question<'_> {
    /// Asks, on a terminal.
    ///
    /// # Errors
    ///
    /// [`exit::APPROVAL`], where there is no terminal or the answer is another one.
    pub fn ask(self, env: &Env) -> Result<(), CliError> {
        let refused = |message: String| CliError {
            exit: exit::APPROVAL,
            message,
            hint: self.hint.to_owned(),
        };
        if !env.ui.is_terminal(Stream::Err) {
            return Err(refused(format!(
                "nobody confirmed {}: there is no terminal to ask on; {}",
                self.what, self.otherwise
            )));
        }
        match env.ui.ask(&self.text) {
            Some(answer) if answer.trim() == self.yes => Ok(()),
            _ => Err(refused(format!("not confirmed; {}", self.otherwise))),
        }
    }
}
