//! `lienthong access`: what it prints is what the hub does, and what it says of wrong files is right.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use prost_types::FieldMask;
use proto::{
    Schema,
    catalog::v1::{CheckAccessRequest, catalog_service_client::CatalogServiceClient},
    query::v1 as wire,
};
use tests::{Databases, Engine, Hub, HubFiles, Settings, client_of};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// A copy of the shipped files, to change.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for sub in ["grants", "policies"] {
        fs::create_dir(folder.path().join(sub)).unwrap();
        for entry in fs::read_dir(deploy().join(sub)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(sub).join(path.file_name().unwrap())).unwrap();
        }
    }
    for name in ["purposes.toml", "agencies.toml"] {
        fs::copy(deploy().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn run(arguments: &[&str]) -> Output {
    Command::new(tests::binary()).arg("access").args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Replaces text in a file, and gives the line of the new text.
fn change(file: &Path, from: &str, to: &str) -> usize {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} holds {from}", file.display());
    let text = text.replacen(from, to, 1);
    fs::write(file, &text).unwrap();
    text.lines().position(|line| line.contains(to)).map_or(0, |line| line + 1)
}

#[test]
fn check_names_file_and_line_and_fails_on_errors() {
    let folder = copy();
    let dir = folder.path().to_str().unwrap();
    let good = run(&["check", "--dir", dir]);
    assert!(good.status.success(), "{}", said(&good));
    let strict = run(&["check", "--dir", dir, "--deny-warnings"]);
    assert_eq!(strict.status.code(), Some(1), "a purpose nobody may state is a warning");

    let file = folder.path().join("grants/health-card-portal.toml");
    let line = change(&file, "valid_until = 2028-12-31", "valid_until = 2026-01-31");
    let expired = run(&["check", "--dir", dir, "--at", "2026-11-22"]);
    assert!(expired.status.success());
    let wanted = format!("warning: {}:{line}:15: agreement \"05/2026/TTCS-BHXH-HCC\" has expired", file.display());
    assert!(said(&expired).contains(&wanted), "{}", said(&expired));
    assert!(!said(&run(&["check", "--dir", dir, "--at", "2026-01-31"])).contains("has expired"), "its last day");

    let line = change(&file, "\"check_health_card\"", "\"check_health_cart\"");
    let wrong = run(&["check", "--dir", dir]);
    assert_eq!(wrong.status.code(), Some(1));
    let wanted = format!("error: {}:{line}:13: purpose \"check_health_cart\" is unknown", file.display());
    assert!(said(&wrong).contains(&wanted), "{}", said(&wrong));
}

#[test]
fn check_names_what_is_granted_and_the_law_never_lets_through() {
    let folder = copy();
    let file = folder.path().join("grants/population-portal.toml");
    let slip = "type = \"lienthong.judicial.v1.CriminalRecordDetail\"";
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n[[records]]\n{slip}\nfields = [\"full_name\"]\n")).unwrap();
    let line = change(&file, slip, slip);
    let wider = run(&["check", "--dir", folder.path().to_str().unwrap()]);
    let wanted = format!("warning: {}:{line}:8: agreement \"01/2026/TTCS-CA-HCC\" grants 1 fields", file.display());
    assert!(said(&wider).contains(&wanted), "{}", said(&wider));
    assert!(said(&wider).contains("by guardrail slip_2_is_for_prosecution_bodies"), "{}", said(&wider));
}

#[test]
fn explain_says_what_decides_and_ends_with_a_telling_code() {
    let (deploy, cause) = (deploy(), "DeathRegistration:full_name,death_cause");
    let base =
        ["explain", "--dir", deploy.to_str().unwrap(), "--system", "H21.20/claims", "--purpose", "settle_insurance"];
    let with = |more: &[&str]| run(&[&base[..], more].concat());
    let part = with(&["--dossier", "1", "--select", cause]);
    assert_eq!(part.status.code(), Some(4), "{}", said(&part));
    for text in
        ["07/2026/TTCS-UBND-BHXH", "SENSITIVE_NEEDS_PROVEN_OFFICER", "Nghị định 356/2025/NĐ-CP", "Decree 356/2025"]
    {
        assert!(said(&part).contains(text), "{text}: {}", said(&part));
    }
    assert_eq!(with(&["--dossier", "1", "--select", cause, "--officer", "proven"]).status.code(), Some(0));
    let refused = with(&["--select", cause]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(said(&refused).contains("DOSSIER_MISSING"));
    let early = with(&["--dossier", "1", "--select", cause, "--at", "2025-12-31"]);
    assert!(said(&early).contains("AGREEMENT_NOT_YET_IN_FORCE"));
    let misspelt = with(&["--select", "DeathRegistration:death_cuase"]);
    assert_eq!(misspelt.status.code(), Some(1));
    assert!(said(&misspelt).contains("did you mean \"death_cause\"?"), "{}", said(&misspelt));
}

#[test]
fn diff_shows_every_cell_that_changes_and_no_other() {
    let (deploy, folder) = (deploy(), copy());
    let (old, new) = (deploy.to_str().unwrap(), folder.path().to_str().unwrap());
    let same = run(&["diff", old, new]);
    assert!(
        same.status.success() && said(&same).starts_with("0 cells opened, 0 closed, 0 changed,"),
        "{}",
        said(&same)
    );

    // The last fields of the agreement on health cards go: two fields, two purposes, two actions.
    change(&folder.path().join("grants/health-card-portal.toml"), ", \"facility\"", "");
    let closed = said(&run(&["diff", old, new]));
    assert!(closed.contains("0 cells opened, 8 closed, 0 changed,"), "{closed}");
    assert!(closed.contains("registered_facility_code, registered_facility_name"), "{closed}");
    assert!(said(&run(&["diff", new, old])).contains("8 cells opened, 0 closed, 0 changed,"));

    // A guardrail taken away opens what it withheld, though no grant changed.
    let folder = copy();
    fs::remove_file(folder.path().join("policies/50-sensitive.cedar")).unwrap();
    let changed = said(&run(&["diff", old, folder.path().to_str().unwrap()]));
    assert!(changed.contains("before: proven officer; dossier"), "{changed}");
    assert!(changed.contains("after:  any named officer; dossier"), "{changed}");
}

#[test]
fn who_can_see_lists_those_who_can_and_those_who_were_granted_in_vain() {
    let deploy = deploy();
    let base = ["who-can-see", "CriminalRecordDetail:convictions", "--dir"];
    let shipped = said(&run(&[&base[..], &[deploy.to_str().unwrap()]].concat()));
    assert!(shipped.contains("1 of the 8 systems that agreements name"), "{shipped}");
    let folder = copy();
    let grant = "\n[[records]]\ntype = \"lienthong.judicial.v1.CriminalRecordDetail\"\ngroups = [\"convictions\"]\n";
    let file = folder.path().join("grants/personnel-home-affairs.toml");
    fs::write(&file, fs::read_to_string(&file).unwrap() + grant).unwrap();
    let wider = said(&run(&[&base[..], &[folder.path().to_str().unwrap()]].concat()));
    assert!(wider.contains("Granted, yet not released now:") && wider.contains("SLIP_2_RESTRICTED"), "{wider}");
    assert!(wider.contains("1 of the 8 systems that agreements name"), "{wider}");
}

/// One row of the matrix as CSV, cut at commas outside quotes.
fn columns(line: &str) -> Vec<String> {
    let (mut columns, mut quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(String::new()),
            other => columns.last_mut().unwrap().push(other),
        }
    }
    columns
}

#[tokio::test(flavor = "multi_thread")]
async fn the_matrix_is_what_the_hub_tells_its_callers() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(20, 71, None).await;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let config = files.path("config.toml");
    let csv = run(&["matrix", "--csv", "--config", config.to_str().unwrap()]);
    let csv = String::from_utf8(csv.stdout).unwrap();
    // Nobody's officer is proven by a call, so the rows that ask for one are not the callers'.
    let rows: Vec<Vec<String>> =
        csv.lines().skip(1).map(columns).filter(|row| row[9].starts_with("any named officer")).collect();
    let codes: BTreeSet<String> = rows.iter().map(|row| row[2].clone()).filter(|code| !code.is_empty()).collect();
    let (schema, mut cells) = (Schema::builtin().unwrap(), 0);
    for system in ["H21.65/portal", "H21.30/personnel", "H21.40.05/investigation", "H21.99/all", "H21.12/civil-status"]
    {
        let mut client = CatalogServiceClient::new(client_of(&hub, &files, system).await);
        for (code, action) in codes.iter().flat_map(|code| ["query", "verify", "batch"].map(|action| (code, action))) {
            for record_type in schema.record_types() {
                let paths = record_type.fields.iter().map(|field| field.path.clone()).collect();
                let request = CheckAccessRequest {
                    selections: vec![wire::Selection {
                        record_type: record_type.name.clone(),
                        field_mask: Some(FieldMask { paths }),
                    }],
                    purpose: Some(wire::Purpose {
                        code: code.clone(),
                        dossier_number: "H21.65-261122-0001".to_owned(),
                        ..Default::default()
                    }),
                    officer: Some(wire::Officer {
                        id: "1".to_owned(),
                        name: "Kiểm thử".to_owned(),
                        ..Default::default()
                    }),
                    action: action.to_owned(),
                };
                let told = client.check_access(request).await.unwrap().into_inner();
                let told: BTreeSet<String> = told.selections.into_iter().flat_map(|found| found.released).collect();
                let listed = rows.iter().filter(|row| {
                    format!("{}/{}", row[0], row[1]) == system
                        && (row[2].as_str(), row[3].as_str(), row[4].as_str()) == (code, action, &record_type.name)
                });
                let listed: BTreeSet<String> = listed.map(|row| row[5].clone()).collect();
                assert_eq!(told, listed, "{system} {code} {action} {}", record_type.name);
                cells += told.len();
            }
        }
    }
    println!("{cells} cells are told and listed alike");
    assert!(cells > 500);
    assert!(hub.stop());
}
