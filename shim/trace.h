/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints, as Rust calls them. */
#ifndef _KFI_SHIM_TRACE_H
#define _KFI_SHIM_TRACE_H

#include <kfi/kfi.h>
#include <kfi/provider.h>

void rust_helper_kfi_trace_provider_added(const struct kfi_provider *provider);
void rust_helper_kfi_trace_provider_removed(const struct kfi_provider *provider);
void rust_helper_kfi_trace_device_added(const struct kfi_device *device);
void rust_helper_kfi_trace_device_removed(const struct kfi_device *device);
void rust_helper_kfi_trace_client_added(const struct kfi_client *client, const struct kfi_device *device, int status);
void rust_helper_kfi_trace_provider_asked(const struct kfi_provider *provider, const char *consumer,
					  const struct sockaddr *addr, int status);
void rust_helper_kfi_trace_policy(const char *consumer, const struct sockaddr *addr, const char *verdict);
void rust_helper_kfi_trace_info_resolved(const struct kfi_info *info, const char *consumer,
					 const struct sockaddr *addr, int status);
void rust_helper_kfi_trace_domain_opened(const struct kfi_domain *domain);
void rust_helper_kfi_trace_domain_closed(const struct kfi_domain *domain);
void rust_helper_kfi_trace_ep_opened(const void *ep, const struct kfi_domain *domain);
void rust_helper_kfi_trace_ep_closed(const void *ep, const struct kfi_domain *domain);
void rust_helper_kfi_trace_pep_closed(const void *pep);

#endif
