// SPDX-License-Identifier: GPL-2.0-only

//! Which provider carries a connection: the one place where kfi decides it.
//!
//! Providers are tried from high to low priority. One that cannot reach the address at all, -ENODEV, passes it on to the
//! next; any other outcome is final, a rejection in particular. With a name only that provider is asked.

#![deny(unsafe_code)]

use crate::{
    registry::{
        order,
        Call, //
    },
    sys::{
        module,
        own::Own,
        pep::{
            Pep,
            PepAttr, //
        },
        resolve::ResolveAttr,
        Consumer, //
    }, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// The provider that is asked for when none is registered.
const DEFAULT: &CStr = c"verbs";

/// Asks one provider after the other until one does not answer -ENODEV.
fn try_providers<R>(name: Option<&CStr>, mut ask: impl FnMut(&Call) -> Result<R>) -> Result<R> {
    let mut last = None;

    if Call::next(name, None).is_none() {
        module::request_provider(name.unwrap_or(DEFAULT));
    }
    while let Some(call) = Call::next(name, last) {
        match ask(&call) {
            Err(error) if order::falls_back(error.to_errno()) => last = Some(call.rank()),
            outcome => return outcome,
        }
    }
    Err(ENODEV)
}

/// kfi_pep_open()
pub(crate) fn pep_open(attr: &PepAttr<'_>, consumer: Consumer) -> Result<Own<Pep>> {
    try_providers(attr.provider(), |call| {
        let owner = call.provider().owner().get().ok_or(ENODEV)?;
        call.provider().pep_open(attr, owner, consumer)
    })
}

/// kfi_resolve()
pub(crate) fn start(
    attr: ResolveAttr<'_>,
    consumer: Consumer,
) -> Result<*mut crate::bindings::kfi_info> {
    try_providers(attr.provider(), |call| {
        Ok(call.provider().resolve(&attr, consumer)?.as_ptr())
    })
}
