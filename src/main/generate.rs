//! Man pages and the completions of shells, made of the command line's own definition: they can't be wrong about it.

use std::fs;
use std::path::Path;

use aftersalesd::app::Failure;
use clap::{Command, ValueEnum};
use clap_complete::Shell;

/// What is made.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// A page for each command: aftersalesd.1, aftersalesd-run.1 …
    Man,
    /// For bash, zsh and fish
    Completions,
}

/// Writes files of this kind for `command` into `folder`, over those that are there.
pub fn generate(mut command: Command, kind: Kind, folder: &Path) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let written = fs::create_dir_all(folder).and_then(|()| match kind {
        Kind::Man => clap_mangen::generate_to(command, folder),
        Kind::Completions => {
            let shells = [Shell::Bash, Shell::Zsh, Shell::Fish];
            shells.into_iter().try_for_each(|shell| {
                clap_complete::generate_to(shell, &mut command, name.as_str(), folder).map(|_| ())
            })
        }
    });
    written.map_err(|e| Failure::Other(format!("{}: {e}", folder.display())))
}
