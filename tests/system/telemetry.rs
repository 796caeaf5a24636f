//! Spans per stage reach an OTLP collector, joined to the caller's trace, and hold nothing personal.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use prost_types::FieldMask;
use proto::query::v1::{self as wire, subject::Identifier};
use tests::{Databases, Engine, Hub, HubFiles, Settings, query_client};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Keeps what is exported to it.
#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    /// Serves; gives the address.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    /// The spans of a trace.
    pub(crate) fn spans(&self, trace: &str) -> Vec<Span> {
        let exported = self.0.lock().unwrap();
        let scopes = exported.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        let spans = scopes.flat_map(|scope| &scope.spans);
        let of_trace =
            |span: &&Span| span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect::<String>() == trace;
        spans.filter(of_trace).cloned().collect()
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_of_every_stage_are_exported() {
    let collector = Collector::default();
    let address = collector.serve().await;

    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 41, None).await.cast.everywhere.unwrap();
    let told = format!("[telemetry]\notlp_endpoint = \"http://{address}\"\nmetrics_listen = \"127.0.0.1:0\"\n");
    let settings = Settings { more: told, ..Settings::default() };
    let files = HubFiles::write(&databases, &settings);
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.99/all").await;
    let mut request = Request::new(wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(somebody.personal_id.clone())) }),
        selections: vec![wire::Selection {
            record_type: "lienthong.population.v1.Resident".to_owned(),
            field_mask: Some(FieldMask { paths: vec!["full_name".to_owned()] }),
        }],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    });
    let trace = "0af7651916cd43dd8448eb211c80319c";
    request.metadata_mut().insert("traceparent", format!("00-{trace}-b7ad6b7169203331-01").parse().unwrap());
    let answer = client.query(request).await.unwrap().into_inner();
    leads_to_the_trace(&hub.metrics_address().unwrap(), trace);
    // Stopping sends what is left.
    let lines = Arc::clone(&hub.lines);
    assert!(hub.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;

    let exported = collector.0.lock().unwrap().clone();
    let spans = collector.spans(trace);
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    for stage in
        ["lienthong.query.v1.QueryService/Query", "validate", "decide", "fetch", "source", "assemble", "record"]
    {
        assert!(names.contains(stage), "{stage} is among {names:?}");
    }
    let all = format!("{exported:?}\n{}", lines.lock().unwrap().join("\n"));
    for personal in [&somebody.personal_id, &somebody.name] {
        assert!(!all.contains(personal.as_str()), "telemetry holds a personal value");
    }
    // The trace is in the entry, so that an inspector can go from one to the other.
    let key = audit::SigningKey::load(&files.path("keys/log.key")).unwrap();
    let log = audit::AuditLog::open(&files.log_location(), key, audit::Options::default()).await.unwrap();
    let entry = log.entry(answer.receipt.unwrap().log_index).await.unwrap().entry.unwrap();
    assert_eq!(entry.trace_id, trace);
    log.close().await;
}

/// The metrics' exemplars name the trace, as Prometheus' own parser reads them.
fn leads_to_the_trace(metrics: &str, trace: &str) {
    let Ok(python) = std::env::var("LIENTHONG_PYTHON") else {
        println!(
            "exemplars not tested: LIENTHONG_PYTHON names no Python with prometheus-client; tests/run prepares one"
        );
        return;
    };
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("python/openmetrics.py");
    let output = std::process::Command::new(python).arg(script).args([metrics, trace]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    print!("{stdout}");
}
