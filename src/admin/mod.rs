//! `kvorum cluster …`, `kvorum import` and `kvorum export`: what an operator does from a command line.
//!
//! The nodes do the work; this asks them, over the protocol that clients speak, and prints what they say.

mod connection;
mod export;
mod import;
mod pipeline;
mod progress;

use std::time::Duration;

pub use connection::{AdminError, Connection, Value};
pub use export::{ExportOptions, export};
pub use import::{ImportOptions, import};

/// How long a node may take to answer a question.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long the making of a cluster may take.
const CREATE_PATIENCE: Duration = Duration::from_secs(90);

/// A node, and how to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `HOST:PORT`
    pub address: String,
    /// Its password.
    pub password: Option<String>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterCommand {
    /// `kvorum cluster create`
    Create {
        /// `HOST:PORT` of each node.
        nodes: Vec<String>,
        /// How many shards.
        shards: u16,
        /// How many replicas of each shard.
        replicas: u16,
    },
    /// `kvorum cluster status`
    Status {
        /// `HOST:PORT` of any node.
        node: String,
        /// For programs.
        json: bool,
    },
}

/// Does what is asked for; answers what to print.
///
/// # Errors
/// When a node cannot be reached or refuses.
pub fn execute(command: &ClusterCommand, password: Option<&str>) -> Result<String, AdminError> {
    match command {
        ClusterCommand::Create { nodes, shards, replicas } => create(nodes, *shards, *replicas, password),
        ClusterCommand::Status { node, json } => {
            let mut connection = Connection::open(node, password, ANSWER_PATIENCE)?;
            let form: &[&str] = if *json { &["CLUSTER", "STATUS", "JSON"] } else { &["CLUSTER", "STATUS"] };
            Ok(connection.call(form)?.text())
        }
    }
}

/// A node as it describes itself.
struct Described {
    name: String,
    cluster: String,
    bus_port: String,
}

fn describe(connection: &mut Connection) -> Result<Described, AdminError> {
    let Value::Array(fields) = connection.call(&["CLUSTER", "DESCRIBE"])? else {
        return Err(connection.strange("its description is no map"));
    };
    let field = |name: &str| {
        let pairs = fields.chunks_exact(2);
        pairs.filter(|pair| pair[0].text() == name).map(|pair| pair[1].text()).next().unwrap_or_default()
    };
    Ok(Described { name: field("id"), cluster: field("cluster"), bus_port: field("bus-port") })
}

fn create(nodes: &[String], shards: u16, replicas: u16, password: Option<&str>) -> Result<String, AdminError> {
    let mut described = Vec::new();
    for address in nodes {
        let mut connection = Connection::open(address, password, ANSWER_PATIENCE)?;
        described.push((address, describe(&mut connection)?));
    }
    // All of those that are in a cluster must be in the same.
    let is_none = |cluster: &str| cluster.bytes().all(|digit| digit == b'0');
    let mut members = described.iter().filter(|(_, node)| !is_none(&node.cluster));
    if let Some((first_address, first)) = members.next()
        && let Some((address, node)) = members.find(|(_, node)| node.cluster != first.cluster)
    {
        return Err(AdminError::Refused {
            address: (*address).clone(),
            message: format!("it belongs to cluster {}, and {first_address} to {}", node.cluster, first.cluster),
        });
    }
    // One that has begun before goes on, or the two attempts would make two clusters.
    let maker = described.iter().position(|(_, node)| !is_none(&node.cluster)).unwrap_or(0);
    let (shards_text, replicas_text) = (shards.to_string(), replicas.to_string());
    let mut args = vec!["CLUSTER".to_owned(), "CREATE".to_owned(), shards_text, replicas_text];
    for (address, node) in &described {
        let (host, port) = connection::split(address)?;
        args.extend([node.name.clone(), host.to_owned(), port.to_string(), node.bus_port.clone()]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut connection = Connection::open(described[maker].0, password, CREATE_PATIENCE)?;
    connection.call(&args)?;
    let status = connection.call(&["CLUSTER", "STATUS"])?.text();
    Ok(format!("{status}\nconnect with: redis-cli -p {}\n", connection::split(&nodes[0])?.1))
}
