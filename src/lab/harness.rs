//! One lab for the demo, the tests and `evictd lab`: the three stand-ins, the
//! intelligence lists, and a configuration that points the daemon at them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use serde_json::Value;
use uuid::Uuid;

use super::entra::{App, EVENT_HUBS_AUDIENCE, Entra, EntraOptions};
use super::graph::{Graph, GraphOptions, Tenant, User};
use super::hub::{EventHubs, EventHubsOptions, SasKey};
use super::pki::{PemFiles, Pki};
use super::records::{HOSTING, Person, TENANT, TOR_EXIT, envelope};

/// The lab's one event hub.
pub const HUB: &str = "insights-logs-signin";
/// The daemon's app registration.
pub const CLIENT_ID: Uuid = Uuid::from_u128(0x0e71_c7d0_0000_4000_8000_0000_0000_0001);
const CLIENT_SECRET: &str = "lab-only-secret";
/// What the daemon may do in the lab's tenant, and no more (graph.md).
const ROLES: [&str; 3] = [
    "User.RevokeSessions.All",
    "IdentityRiskyUser.ReadWrite.All",
    "IdentityRiskyServicePrincipal.ReadWrite.All",
];
/// The key that `evictd lab` prints for the official SDKs.
const SAS_KEY_NAME: &str = "lab";
const SAS_KEY: &str = "bGFiLW9ubHkta2V5LWxhYi1vbmx5LWtleS1sYWItb25seSE=";

/// How the daemon reaches the lab's Event Hubs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP: for a daemon in this process, which cannot be given a
    /// certificate authority of its own for AMQP.
    Plain,
    /// TLS: for a daemon process started with `SSL_CERT_FILE`.
    Tls,
}

/// A running lab. Dropping it stops it.
pub struct Lab {
    /// Event Hubs.
    pub hub: EventHubs,
    /// Graph and its tenant.
    pub graph: Graph,
    /// The token endpoint.
    pub entra: Arc<Entra>,
    directory: PathBuf,
    pem: PemFiles,
    partitions: usize,
    next_partition: AtomicUsize,
}

impl Lab {
    /// Starts the stand-ins on free ports; `directory` (which must exist) gets
    /// certificates, lists and, later, the daemon's files.
    ///
    /// # Errors
    /// When a port or a file cannot be had.
    pub async fn start(
        directory: &Path,
        people: &[Person],
        partitions: usize,
    ) -> anyhow::Result<Self> {
        let pki = Pki::generate().context("the lab's certificates")?;
        let pem = pki.write_to(directory)?;
        let tls = pki.server_config()?;
        write_lists(directory)?;
        let entra = Entra::start(EntraOptions {
            apps: vec![App::new(CLIENT_ID, CLIENT_SECRET, &ROLES)],
            tls: Some(Arc::clone(&tls)),
            ..EntraOptions::new(Uuid::parse_str(TENANT)?)
        })
        .await?;
        let entra = Arc::new(entra);
        let options = GraphOptions {
            tls: Some(Arc::clone(&tls)),
            ..GraphOptions::default()
        };
        let graph = Graph::start(options, Arc::clone(&entra), tenant_of(people)?).await?;
        let judge = Arc::clone(&entra);
        let check =
            Arc::new(move |token: &str, _: &str| judge.verify(token, EVENT_HUBS_AUDIENCE).is_ok());
        let hub = EventHubs::start(EventHubsOptions {
            consumer_groups: ["$Default", "evictd"].map(str::to_owned).into(),
            tls: Some(tls),
            sas_key: Some(SasKey {
                name: SAS_KEY_NAME.to_owned(),
                key: SAS_KEY.to_owned(),
            }),
            ..EventHubsOptions::new([(HUB, partitions)], check)
        })
        .await?;
        Ok(Self {
            hub,
            graph,
            entra,
            directory: directory.to_owned(),
            pem,
            partitions,
            next_partition: AtomicUsize::new(0),
        })
    }

    /// Sends one message of these records to the next partition in turn, as
    /// Event Hubs does without a key: nothing keeps a user to a partition.
    pub fn publish(&self, records: &[Value]) {
        self.publish_bytes(envelope(records));
    }

    /// Sends one message as it is.
    pub fn publish_bytes(&self, body: Vec<u8>) {
        let partition = self.next_partition.fetch_add(1, Ordering::Relaxed) % self.partitions;
        self.hub.publish(HUB, partition, body);
    }

    /// The certificate authority to trust (`SSL_CERT_FILE`).
    pub fn authority_file(&self) -> &Path {
        &self.pem.authority
    }

    /// Where the daemon's database goes.
    pub fn state_directory(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Where the daemon's control socket goes.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// The endpoint of the stand-in for Event Hubs.
    pub fn hub_endpoint(&self, transport: Transport) -> String {
        match (transport, self.hub.tls_address()) {
            (Transport::Tls, Some(address)) => format!("amqps://localhost:{}", address.port()),
            _ => format!("amqp://127.0.0.1:{}", self.hub.address().port()),
        }
    }

    /// A connection string for the official SDKs (plain TCP).
    pub fn connection_string(&self) -> String {
        format!(
            "Endpoint=sb://localhost:{};SharedAccessKeyName={SAS_KEY_NAME};SharedAccessKey={SAS_KEY};UseDevelopmentEmulator=true;",
            self.hub.address().port()
        )
    }

    /// The daemon's configuration file as text. `policies` is a directory, or
    /// the shipped policies serve.
    pub fn config_text(&self, transport: Transport, policies: Option<&Path>) -> String {
        let file = |name: &str| self.directory.join(name).display().to_string();
        let mut text = String::new();
        // A String takes whatever is written to it.
        let _ = writeln!(
            text,
            r#"tenant = "{TENANT}"
state = "{state}"
{policies}
[event_hubs]
namespace = "contoso.servicebus.windows.net"
endpoint = "{endpoint}"
hubs = ["{HUB}"]
consumer_group = "evictd"
start = "earliest"

[credential]
kind = "client_secret"
client_id = "{CLIENT_ID}"
secret = "{CLIENT_SECRET}"

[graph]
endpoint = "{graph}"
authority = "{authority}"
ca_file = "{ca}"

[intel]
tor_exits = "{tor}"
hosting_asns = "{hosting}"

[http]
listen = "127.0.0.1:0"

[control]
socket = "{socket}"
"#,
            state = self.state_directory().display(),
            policies = policies.map_or(String::new(), |p| format!(
                "policies = \"{}\"\n",
                p.display()
            )),
            endpoint = self.hub_endpoint(transport),
            graph = self.graph.base_url(),
            authority = self.entra.authority(),
            ca = self.pem.authority.display(),
            tor = file("tor-exits.txt"),
            hosting = file("hosting-asns.txt"),
            socket = self.socket().display(),
        );
        text
    }

    /// Writes [`Lab::config_text`] beside the rest.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_config(
        &self,
        transport: Transport,
        policies: Option<&Path>,
    ) -> std::io::Result<PathBuf> {
        let path = self.directory.join("evictd.toml");
        fs::write(&path, self.config_text(transport, policies))?;
        Ok(path)
    }
}

fn write_lists(directory: &Path) -> std::io::Result<()> {
    fs::write(
        directory.join("tor-exits.txt"),
        format!(
            "# Tor exits of the lab\n{}\n2001:db8:6003::141\n",
            TOR_EXIT.address(7)
        ),
    )?;
    fs::write(
        directory.join("hosting-asns.txt"),
        format!("# Hosting providers of the lab\nAS{}\n", HOSTING.asn),
    )
}

fn tenant_of(people: &[Person]) -> anyhow::Result<Tenant> {
    let mut tenant = Tenant::default();
    for person in people {
        let user = User {
            id: Uuid::parse_str(&person.id)?,
            display_name: person.name.clone(),
            ..User::member(&person.principal_name)
        };
        tenant
            .add_user(user)
            .map_err(|error| anyhow::anyhow!("{}: {error}", person.principal_name))?;
    }
    Ok(tenant)
}
