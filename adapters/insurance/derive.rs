//! Functions of the insurance mapping.

use adapter_sdk::{Derive, Functions, Inputs, Value, ValueType};
use normalize::{Conversion, budget_unit_code, tax_code};

/// What this sector's mapping may name.
pub(crate) fn functions() -> Functions {
    Functions::new().with_derive(Derive {
        name: "employer_code",
        roles: &["code"],
        output: ValueType::Text,
        run: employer_code,
    })
}

/// Employers are firms, by tax code, or units of the state, by budget-unit code. Seven digits are no tax code in any
/// state of damage, so length alone tells which.
fn employer_code(inputs: &Inputs<'_>) -> Conversion<Option<Value>> {
    let code = inputs.get("code").unwrap_or_default();
    if code.trim().chars().count() == 7 {
        return budget_unit_code(code).map(|code| code.map(|code| Some(Value::Text(code.into_owned()))));
    }
    tax_code(code).map(|code| code.map(|code| Some(Value::Text(code.as_str().to_owned()))))
}
