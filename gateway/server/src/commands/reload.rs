//! `lienthong reload`: for operators.

use std::process::ExitCode;

use proto::operator::v1::{self as wire, operator_service_client::OperatorServiceClient};

use super::Connect;
use crate::{
    client::{CallFailed, Client},
    show,
};

#[derive(clap::Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    connect: Connect,
}

impl Reload {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = Client::of(&self.connect).await?;
        let request = client.request(wire::ReloadRequest { officer: client.officer() });
        let answer = OperatorServiceClient::new(client.channel.clone()).reload(request).await;
        let answer = answer.map_err(CallFailed::from)?.into_inner();
        if self.connect.json {
            let in_force: Vec<_> = answer
                .in_force
                .iter()
                .map(|in_force| {
                    serde_json::json!({
                        "what": in_force.what, "digest": in_force.digest, "changed": in_force.changed,
                    })
                })
                .collect();
            let json = serde_json::json!({ "logIndex": answer.log_index.to_string(), "inForce": in_force });
            show::line(serde_json::to_string_pretty(&json)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = show::table(["In force", "Changed", "SHA-256"]);
        for in_force in answer.in_force {
            table.add_row([in_force.what, if in_force.changed { "yes" } else { "no" }.to_owned(), in_force.digest]);
        }
        show::line(table)?;
        show::line(format!("Recorded in the audit log as entry {}.", answer.log_index))?;
        Ok(ExitCode::SUCCESS)
    }
}
