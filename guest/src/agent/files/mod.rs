//! Files, with the rights of a user of the machine.

pub mod change;
pub mod entry;
pub mod list;
pub mod read;
pub mod transfer;
pub mod write;

use super::core::Agent;
use super::fault::Answer;
use super::users::User;
use crate::fields::Fields;
use crate::sys::process::Acting;

impl Agent {
    /// The user a file operation acts as: field 5.
    pub fn file_user(&self, fields: &Fields<'_>) -> Answer<User> {
        self.users.find(fields.text(5)?)
    }

    /// Takes on the user's rights on files until the guard is dropped.
    pub fn act_as(&self, user: &User) -> Answer<Acting> {
        Ok(Acting::new(self.users.switch(user))?)
    }
}
