use super::*;

#[test]
fn the_spiffe_id_names_agency_and_system() {
    let caller = caller("spiffe://hub.example/agency/H21.65/system/portal", "hub.example").unwrap();
    assert_eq!((caller.agency.to_string().as_str(), caller.system.as_str()), ("H21.65", "portal"));
}

#[test]
fn look_alike_ids_are_refused() {
    for (id, error) in [
        ("spiffe://hub.example.evil/agency/H21/system/portal", IdentityError::OtherTrustDomain),
        ("spiffe://hub.example/agency/H21/system/portal/extra", IdentityError::MalformedSpiffeId),
        ("spiffe://hub.example/agency/H21/system/", IdentityError::MalformedSpiffeId),
        ("spiffe://hub.example/agency/H21/system/Portal", IdentityError::MalformedSpiffeId),
        ("spiffe://hub.example/agency/H21%2e65/system/portal", IdentityError::MalformedSpiffeId),
        ("spiffe://hub.example/agency//system/portal", IdentityError::MalformedSpiffeId),
        ("spiffe://hub.example", IdentityError::MalformedSpiffeId),
    ] {
        assert_eq!(caller(id, "hub.example").unwrap_err(), error, "{id}");
    }
}

#[test]
fn a_connection_without_certificate_has_no_caller() {
    assert_eq!(peer(None, "hub.example").unwrap_err(), IdentityError::NoCertificate);
    assert_eq!(peer(Some(&[]), "hub.example").unwrap_err(), IdentityError::NoCertificate);
    let junk = CertificateDer::from(vec![1, 2, 3]);
    assert_eq!(peer(Some(&[junk]), "hub.example").unwrap_err(), IdentityError::Unreadable);
}
