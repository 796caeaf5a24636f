//! The floors: a plain tonic server with mTLS. `Verify` echoes; `Query` selects one row by its key through sqlx and sends its
//! texts back. No policy, no mapping, no audit.

use std::pin::Pin;

use futures::Stream;
use prost::Message;
use prost_types::{Any, ListValue, Value, value::Kind};
use proto::query::v1::{
    self as wire,
    query_service_server::{QueryService, QueryServiceServer},
    subject::Identifier,
};
use sqlx::{
    PgPool, Row, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Certificate, Identity, Server, ServerTlsConfig},
};

use crate::questions::COLUMNS;

/// As many connections as the hub's default.
const CONNECTIONS_MAX: u32 = 16;

enum Database {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

struct Floor {
    database: Database,
    sql: &'static str,
}

impl Floor {
    async fn open(url: &str) -> Self {
        let (mark, cast) = if url.starts_with("postgres") { ("$1", "::text") } else { ("?", "") };
        let columns: Vec<String> = COLUMNS.iter().map(|name| format!("\"{name}\"{cast}")).collect();
        let sql = format!("SELECT {} FROM cong_dan WHERE \"SoDinhDanh\" = {mark}", columns.join(", "));
        let database = if url.starts_with("postgres") {
            let options = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).test_before_acquire(false);
            Database::Postgres(options.connect(url).await.expect("the database answers"))
        } else {
            let options: SqliteConnectOptions = url.parse().expect("an address");
            let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).test_before_acquire(false);
            Database::Sqlite(pool.connect_with(options.read_only(true)).await.expect("the database is there"))
        };
        Self { database, sql: sql.leak() }
    }

    async fn texts(&self, key: &str) -> Result<Vec<Vec<Option<String>>>, sqlx::Error> {
        match &self.database {
            Database::Postgres(pool) => {
                let rows = sqlx::query(self.sql).bind(key).fetch_all(pool).await?;
                rows.iter().map(|row| (0..COLUMNS.len()).map(|at| row.try_get(at)).collect()).collect()
            }
            Database::Sqlite(pool) => {
                let rows = sqlx::query(self.sql).bind(key).fetch_all(pool).await?;
                let text = |row: &sqlx::sqlite::SqliteRow, at| row.try_get_unchecked::<Option<String>, _>(at);
                rows.iter().map(|row| (0..COLUMNS.len()).map(|at| text(row, at)).collect()).collect()
            }
        }
    }
}

fn record(texts: Vec<Option<String>>) -> wire::Record {
    let value = |text: Option<String>| Value { kind: text.map(Kind::StringValue) };
    let list = ListValue { values: texts.into_iter().map(value).collect() };
    let value =
        Any { type_url: "type.googleapis.com/google.protobuf.ListValue".to_owned(), value: list.encode_to_vec() };
    wire::Record { value: Some(value), ..Default::default() }
}

#[tonic::async_trait]
impl QueryService for Floor {
    async fn query(&self, request: Request<wire::QueryRequest>) -> Result<Response<wire::QueryResponse>, Status> {
        let Some(wire::Subject { identifier: Some(Identifier::PersonalId(key)) }) = request.into_inner().subject else {
            return Err(Status::invalid_argument("a personal number"));
        };
        let rows = self.texts(&key).await.map_err(|error| Status::unavailable(error.to_string()))?;
        let records = rows.into_iter().map(record).collect();
        let result = wire::SelectionResult { records, ..Default::default() };
        Ok(Response::new(wire::QueryResponse { results: vec![result], ..Default::default() }))
    }

    async fn verify(&self, request: Request<wire::VerifyRequest>) -> Result<Response<wire::VerifyResponse>, Status> {
        let echo = |claim: wire::Claim| wire::ClaimResult {
            record_type: claim.record_type,
            field: claim.field,
            reason: claim.value,
            ..Default::default()
        };
        let results = request.into_inner().claims.into_iter().map(echo).collect();
        Ok(Response::new(wire::VerifyResponse { results, ..Default::default() }))
    }

    async fn search(&self, _: Request<wire::SearchRequest>) -> Result<Response<wire::SearchResponse>, Status> {
        Err(Status::unimplemented("the floor has no search"))
    }

    type BatchQueryStream = Pin<Box<dyn Stream<Item = Result<wire::BatchQueryResponse, Status>> + Send>>;

    async fn batch_query(
        &self,
        _: Request<Streaming<wire::BatchQueryRequest>>,
    ) -> Result<Response<Self::BatchQueryStream>, Status> {
        Err(Status::unimplemented("the floor has no batches"))
    }
}

/// Runs the floor; `arguments` are the folder of the keys and a file with the database's address. Prints where it listens.
pub(crate) async fn serve(mut arguments: impl Iterator<Item = String>) {
    let keys = arguments.next().expect("the folder of the keys");
    let url = std::fs::read_to_string(arguments.next().expect("a file with an address")).expect("an address");
    let pem = |name: &str| std::fs::read(format!("{keys}/{name}")).expect("a key");
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(pem("server.pem"), pem("server.key")))
        .client_ca_root(Certificate::from_pem(pem("ca.pem")));
    let floor = Floor::open(url.trim()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    eprintln!("listening address={}", listener.local_addr().expect("an address"));
    Server::builder()
        .tls_config(tls)
        .expect("the keys fit")
        .tcp_nodelay(true)
        .add_service(QueryServiceServer::new(floor))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .expect("the floor serves");
}
