//! Whole-system tests: the shipped program, real databases, real certificates.

mod access_tools;
mod adapter;
mod bad_input;
mod command;
mod demo;
mod design;
mod faults;
mod kill;
mod lifecycle;
mod overload;
mod python;
mod receipts;
mod reload;
mod services;
mod telemetry;
mod tiles;
mod truth;
mod withheld;
