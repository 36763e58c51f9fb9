// SPDX-License-Identifier: GPL-2.0-only
// Included at the root of each of these crates: the consumers' interface as it is, and an operation.

#[path = "../../shim/bindings.rs"]
mod bindings;
#[path = "../../consumers/kfi.rs"]
pub mod kfi;

kernel::prelude::module! {
    type: Root,
    name: "compile_fail",
    authors: ["kfi developers"],
    description: "does not compile",
    license: "GPL",
}

struct Root;

impl kernel::Module for Root {
    fn init(_module: &'static kernel::ThisModule) -> kernel::error::Result<Self> {
        Ok(Self)
    }
}

/// An operation that moves a buffer.
pub struct Message(pub u32);

impl kfi::Op for Message {
    type Mem = kfi::Buffer;

    fn done(request: kfi::Request<Self>, comp: kfi::Comp<'_>) {
        // Posted again, without an allocation.
        if comp.ok().is_ok() {
            let _ = comp.ep().recv(request, 64);
        }
    }
}
