//! The command line.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use evictd::cli::client::{Client, ClientError, SocketArgs};
use evictd::cli::output::Format;
use evictd::cli::{cases, intel, memory, policy, quarantine, replay};
use evictd::config::Config;
use evictd::{daemon, intel_files, ruleset, telemetry};
use jiff::Timestamp;

/// Evicts stolen Microsoft Entra ID sessions: reads the sign-in stream from
/// Azure Event Hubs, decides by YAML policies, revokes through Microsoft Graph.
#[derive(Debug, Parser)]
#[command(
    name = "evictd",
    version,
    propagate_version = true,
    after_help = "Exit codes:
  0  done
  1  failed; standard error says why
  2  the command line is wrong
  3  no daemon listens at the control socket, or it may not be opened
  4  the daemon refused: no such case, nothing to judge"
)]
struct Cli {
    #[command(flatten)]
    socket: SocketArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Run(RunArgs),
    /// Judge recorded records by the same engine, doing nothing.
    Replay(replay::ReplayArgs),
    /// Check, test, explain and backtest policies, and show how those that serve are.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// List, show, approve and deny cases of the running daemon.
    #[command(subcommand)]
    Cases(cases::CasesCommand),
    /// Stop every effect of the running daemon within a second.
    Pause,
    /// Let the running daemon's effects go on.
    Resume,
    /// Show how the running daemon is.
    Status {
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Make the running daemon read policies again and refresh its lists, as SIGHUP does,
    /// and wait for what comes of the policies.
    Reload,
    /// Show and retry records that could not be decoded.
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Show what is remembered of a user.
    #[command(subcommand)]
    Memory(memory::MemoryCommand),
    /// Show what the lists know of an address, without a daemon.
    #[command(subcommand)]
    Intel(intel::IntelCommand),
    /// Print a completion script: `evictd completions bash > /etc/bash_completion.d/evictd`.
    Completions {
        /// For which shell.
        shell: Shell,
    },
    /// Play a morning at Contoso against stand-ins on this machine.
    #[cfg(feature = "lab")]
    Demo(evictd::lab::demo::DemoArgs),
    /// Start the stand-ins alone, or measure the detection.
    #[cfg(feature = "lab")]
    Lab(evictd::lab::serve::LabArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evictd run --config /etc/evictd/evictd.toml
  EVICTD_LOG__LEVEL=debug evictd run --config evictd.toml
  evictd run --config evictd.toml --check

SIGHUP reads policies and lists again; SIGTERM and SIGINT drain and stop.")]
struct RunArgs {
    /// The configuration file.
    #[arg(
        long,
        value_name = "FILE",
        env = "EVICTD_CONFIG",
        default_value = "/etc/evictd/evictd.toml"
    )]
    config: PathBuf,
    /// Read configuration, policies and lists, say what is wrong, start nothing.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("starting the runtime")),
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    use std::io::Write as _;
    // Standard error that is gone cannot be told about.
    let _ = writeln!(io::stderr(), "evictd: {error:#}");
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::NoDaemon(_) | ClientError::NotAllowed(_)) => ExitCode::from(3),
        Some(ClientError::Refused(_)) => ExitCode::from(4),
        _ => ExitCode::FAILURE,
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let client = Client::new(cli.socket.socket);
    match cli.command {
        Command::Run(args) => run(args).await?,
        Command::Replay(args) => replay::run(&args)?,
        Command::Policy(command) => return policy::run(command, &client).await,
        Command::Cases(command) => cases::run(command, &client).await?,
        Command::Pause => cases::pause(&client, true).await?,
        Command::Resume => cases::pause(&client, false).await?,
        Command::Status { format } => cases::status(&client, format).await?,
        Command::Reload => cases::reload(&client).await?,
        Command::Quarantine(command) => quarantine::run(command, &client).await?,
        Command::Memory(command) => memory::run(command, &client).await?,
        Command::Intel(command) => intel::run(&command)?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "evictd", &mut io::stdout());
        }
        #[cfg(feature = "lab")]
        Command::Demo(args) => {
            if !evictd::lab::demo::run(&args).await? {
                return Ok(ExitCode::FAILURE);
            }
        }
        #[cfg(feature = "lab")]
        Command::Lab(args) => {
            if !evictd::lab::serve::run(args).await? {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    if args.check {
        let policies = ruleset::load(config.policies.as_deref())?;
        intel_files::at_hand(&config.intel, &config.state, Timestamp::now())?;
        return evictd::cli::output::print(|out| {
            for warning in &policies.warnings {
                writeln!(out, "warning: {warning}")?;
            }
            writeln!(
                out,
                "{} is fine: {config}; {} policies, set {}",
                args.config.display(),
                policies.policies.len(),
                policies.hash
            )
        });
    }
    telemetry::init_logging(config.log.format, &config.log.level)?;
    daemon::run(config).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
