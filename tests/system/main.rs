//! Whole-system tests: the shipped program, real databases, real certificates.

mod access_tools;
mod adapter;
mod attacks;
mod bad_input;
mod command;
mod decisions;
mod demo;
mod denials;
mod design;
mod exhausted;
mod faults;
mod kill;
mod lifecycle;
mod overload;
mod python;
mod quotas;
mod receipts;
mod reload;
mod scale;
mod services;
mod telemetry;
mod tiles;
mod tokens;
mod truth;
mod withheld;
