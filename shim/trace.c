// SPDX-License-Identifier: GPL-2.0-only
#include "trace.h"

#define CREATE_TRACE_POINTS
#include <trace/events/kfi.h>

void rust_helper_kfi_trace_provider_added(const struct kfi_provider *provider)
{
	trace_kfi_provider_added(provider);
}

void rust_helper_kfi_trace_provider_removed(const struct kfi_provider *provider)
{
	trace_kfi_provider_removed(provider);
}

void rust_helper_kfi_trace_device_added(const struct kfi_device *device)
{
	trace_kfi_device_added(device);
}

void rust_helper_kfi_trace_device_removed(const struct kfi_device *device)
{
	trace_kfi_device_removed(device);
}

void rust_helper_kfi_trace_client_added(const struct kfi_client *client, const struct kfi_device *device, int status)
{
	trace_kfi_client_added(client, device, status);
}

void rust_helper_kfi_trace_provider_asked(const struct kfi_provider *provider, const char *consumer,
					  const struct sockaddr *addr, int status)
{
	trace_kfi_provider_asked(provider, consumer, addr, status);
}

void rust_helper_kfi_trace_policy(const char *consumer, const struct sockaddr *addr, const char *verdict)
{
	trace_kfi_policy(consumer, addr, verdict);
}

void rust_helper_kfi_trace_info_resolved(const struct kfi_info *info, const char *consumer,
					 const struct sockaddr *addr, int status)
{
	trace_kfi_info_resolved(info, consumer, addr, status);
}

void rust_helper_kfi_trace_domain_opened(const struct kfi_domain *domain)
{
	trace_kfi_domain_opened(domain);
}

void rust_helper_kfi_trace_domain_closed(const struct kfi_domain *domain)
{
	trace_kfi_domain_closed(domain);
}

void rust_helper_kfi_trace_ep_opened(const void *ep, const struct kfi_domain *domain)
{
	trace_kfi_ep_opened(ep, domain);
}

void rust_helper_kfi_trace_ep_closed(const void *ep, const struct kfi_domain *domain)
{
	trace_kfi_ep_closed(ep, domain);
}

void rust_helper_kfi_trace_pep_closed(const void *pep)
{
	trace_kfi_pep_closed(pep);
}
