//! `evictd lab`: the stand-ins alone, for other programs to speak to.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::evaluate::{self, EvaluateArgs};
use super::{HUB, Lab, Transport, scenario};
use crate::cli::output::{self, Format};

/// Arguments of `evictd lab`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  evictd lab --directory /tmp/lab
  evictd lab evaluate --users 2000
  SSL_CERT_FILE=/tmp/lab/ca.pem evictd run --config /tmp/lab/evictd.toml

The connection string is for the official Event Hubs SDKs. Graph's tenant and
its calls can be read at the lab address: /lab/tenant and /lab/calls."
)]
pub struct LabArgs {
    #[command(subcommand)]
    command: Option<LabCommand>,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What the lab can do besides standing there.
#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Start the stand-ins and print where they are (the default).
    Serve(ServeArgs),
    /// Measure how good the detection is, on a made-up population or on yours.
    Evaluate(Box<EvaluateArgs>),
}

/// Arguments of `evictd lab serve`.
#[derive(Debug, Args)]
struct ServeArgs {
    /// Where certificates, lists and the daemon's configuration are written;
    /// a temporary directory otherwise.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Partitions of the hub.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=32))]
    partitions: u16,
    /// How to print where everything is.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Where everything is.
#[derive(Debug, Serialize)]
struct Places {
    hub: &'static str,
    partitions: u16,
    amqp: String,
    amqps: String,
    connection_string: String,
    graph: String,
    entra: String,
    lab: String,
    ca_file: PathBuf,
    config: PathBuf,
    socket: PathBuf,
}

/// Runs what was asked for, and answers whether it came out as promised: the
/// stand-ins always do, until Ctrl-C; an evaluation may miss a target.
///
/// # Errors
/// When a port or a file cannot be had.
pub async fn run(args: LabArgs) -> anyhow::Result<bool> {
    match args.command {
        Some(LabCommand::Evaluate(args)) => evaluate::run(&args),
        Some(LabCommand::Serve(args)) => serve(args).await.map(|()| true),
        None => serve(args.serve).await.map(|()| true),
    }
}

async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let ServeArgs {
        directory,
        partitions,
        format,
    } = args;
    let temporary;
    let directory = match directory {
        Some(directory) => {
            std::fs::create_dir_all(&directory)
                .with_context(|| format!("{} cannot be made", directory.display()))?;
            directory
        }
        None => {
            temporary = tempfile::tempdir().context("a temporary directory")?;
            temporary.path().to_owned()
        }
    };
    let mut people = scenario::staff();
    people.push(scenario::break_glass());
    let lab = Lab::start(&directory, &people, usize::from(partitions)).await?;
    let places = Places {
        hub: HUB,
        partitions,
        amqp: lab.hub_endpoint(Transport::Plain),
        amqps: lab.hub_endpoint(Transport::Tls),
        connection_string: lab.connection_string(),
        graph: lab.graph.base_url(),
        entra: lab.entra.authority(),
        lab: lab.graph.lab_url(),
        ca_file: lab.authority_file().to_owned(),
        config: lab.write_config(Transport::Tls, None)?,
        socket: lab.socket(),
    };
    match format {
        Format::Json => output::json(&places)?,
        Format::Text => output::print(|out| {
            writeln!(
                out,
                "Event Hubs   {} and {}, hub {}, {partitions} partitions",
                places.amqps, places.amqp, places.hub
            )?;
            writeln!(out, "             {}", places.connection_string)?;
            writeln!(out, "Graph        {}", places.graph)?;
            writeln!(out, "Entra        {}", places.entra)?;
            writeln!(
                out,
                "Tenant       {}/lab/tenant, calls {}/lab/calls",
                places.lab, places.lab
            )?;
            writeln!(out, "Start the daemon against it:")?;
            writeln!(
                out,
                "  SSL_CERT_FILE={} evictd run --config {}",
                places.ca_file.display(),
                places.config.display()
            )?;
            writeln!(out, "Ctrl-C ends the lab.")
        })?,
    }
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")
}
