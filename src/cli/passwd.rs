//! `startle passwd`: the hash of a password for the dashboard's login.

use clap::Args;
use startle::watch::web::hash_password;
use startle::{Error, Result};
use std::io::{IsTerminal, stdin};

/// Make the hash of a password for the dashboard.
///
/// Asks for the password twice, or reads it from the first line of standard input. The hash goes to standard output; in
/// the configuration it stands in `[[dashboard.user]]` as `password_hash`, beside `name`.
#[derive(Debug, Args)]
pub struct PasswdArgs {}

/// Runs the command.
pub fn run(_: &PasswdArgs) -> Result<()> {
    let unread = |e: std::io::Error| Error::unreadable("the password", e);
    let password = if stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ").map_err(unread)?;
        let again = rpassword::prompt_password("Again: ").map_err(unread)?;
        if password != again {
            return Err(Error::Config("the two are not the same; try again".into()));
        }
        password
    } else {
        let mut line = String::new();
        stdin().read_line(&mut line).map_err(unread)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    println!("{}", hash_password(&password)?);
    Ok(())
}
