/* SPDX-License-Identifier: GPL-2.0-only */
/* What kfi does on behalf of consumers, apart from moving data. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kfi

#if !defined(_TRACE_KFI_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KFI_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/socket.h>
#include <linux/tracepoint.h>
#include <kfi/kfi.h>
#include <kfi/provider.h>

#define kfi_trace_addr_len(addr) \
	((addr)->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in))

DECLARE_EVENT_CLASS(kfi_provider_class,
		    TP_PROTO(const struct kfi_provider *provider),
		    TP_ARGS(provider),
		    TP_STRUCT__entry(__string(name, provider->name)
				     __field(int, priority)
		    ),
		    TP_fast_assign(__assign_str(name);
				   __entry->priority = provider->priority;
		    ),
		    TP_printk("provider=%s priority=%d", __get_str(name), __entry->priority)
);

DEFINE_EVENT(kfi_provider_class, kfi_provider_added,
	     TP_PROTO(const struct kfi_provider *provider),
	     TP_ARGS(provider)
);

DEFINE_EVENT(kfi_provider_class, kfi_provider_removed,
	     TP_PROTO(const struct kfi_provider *provider),
	     TP_ARGS(provider)
);

DECLARE_EVENT_CLASS(kfi_device_class,
		    TP_PROTO(const struct kfi_device *device),
		    TP_ARGS(device),
		    TP_STRUCT__entry(__string(name, device->name)
				     __string(provider, device->provider_name)
				     __field(u32, caps)
		    ),
		    TP_fast_assign(__assign_str(name);
				   __assign_str(provider);
				   __entry->caps = device->attr.caps;
		    ),
		    TP_printk("device=%s provider=%s caps=0x%x", __get_str(name), __get_str(provider), __entry->caps)
);

DEFINE_EVENT(kfi_device_class, kfi_device_added,
	     TP_PROTO(const struct kfi_device *device),
	     TP_ARGS(device)
);

DEFINE_EVENT(kfi_device_class, kfi_device_removed,
	     TP_PROTO(const struct kfi_device *device),
	     TP_ARGS(device)
);

TRACE_EVENT(kfi_client_added,
	    TP_PROTO(const struct kfi_client *client, const struct kfi_device *device, int status),
	    TP_ARGS(client, device, status),
	    TP_STRUCT__entry(__string(client, client->name)
			     __string(device, device->name)
			     __field(int, status)
	    ),
	    TP_fast_assign(__assign_str(client);
			   __assign_str(device);
			   __entry->status = status;
	    ),
	    TP_printk("client=%s device=%s status=%d", __get_str(client), __get_str(device), __entry->status)
);

/* A provider was asked for a connection or a listener, and this is what it said at once. */
TRACE_EVENT(kfi_provider_asked,
	    TP_PROTO(const struct kfi_provider *provider, const char *consumer, const struct sockaddr *addr,
		     int status),
	    TP_ARGS(provider, consumer, addr, status),
	    TP_STRUCT__entry(__string(provider, provider->name)
			     __string(consumer, consumer)
			     __sockaddr(addr, kfi_trace_addr_len(addr))
			     __field(int, status)
	    ),
	    TP_fast_assign(__assign_str(provider);
			   __assign_str(consumer);
			   __assign_sockaddr(addr, addr, kfi_trace_addr_len(addr));
			   __entry->status = status;
	    ),
	    TP_printk("provider=%s consumer=%s addr=%pISpc status=%d", __get_str(provider), __get_str(consumer),
		      __get_sockaddr(addr), __entry->status)
);

/* The administrator has a rule for the address: what it says. */
TRACE_EVENT(kfi_policy,
	    TP_PROTO(const char *consumer, const struct sockaddr *addr, const char *verdict),
	    TP_ARGS(consumer, addr, verdict),
	    TP_STRUCT__entry(__string(consumer, consumer)
			     __sockaddr(addr, kfi_trace_addr_len(addr))
			     __string(verdict, verdict)
	    ),
	    TP_fast_assign(__assign_str(consumer);
			   __assign_sockaddr(addr, addr, kfi_trace_addr_len(addr));
			   __assign_str(verdict);
	    ),
	    TP_printk("consumer=%s addr=%pISpc verdict=%s", __get_str(consumer), __get_sockaddr(addr),
		      __get_str(verdict))
);

/* The outcome of kfi_resolve(), as the consumer is told it. */
TRACE_EVENT(kfi_info_resolved,
	    TP_PROTO(const struct kfi_info *info, const char *consumer, const struct sockaddr *addr, int status),
	    TP_ARGS(info, consumer, addr, status),
	    TP_STRUCT__entry(__field(const void *, info)
			     __string(device, info->device ? info->device->name : "")
			     __string(consumer, consumer)
			     __sockaddr(addr, kfi_trace_addr_len(addr))
			     __field(int, status)
	    ),
	    TP_fast_assign(__entry->info = info;
			   __assign_str(device);
			   __assign_str(consumer);
			   __assign_sockaddr(addr, addr, kfi_trace_addr_len(addr));
			   __entry->status = status;
	    ),
	    TP_printk("info=%p device=%s consumer=%s addr=%pISpc status=%d", __entry->info, __get_str(device),
		      __get_str(consumer), __get_sockaddr(addr), __entry->status)
);

DECLARE_EVENT_CLASS(kfi_domain_class,
		    TP_PROTO(const struct kfi_domain *domain),
		    TP_ARGS(domain),
		    TP_STRUCT__entry(__field(const void *, domain)
				     __string(device, domain->device->name)
				     __string(consumer, domain->core.consumer)
		    ),
		    TP_fast_assign(__entry->domain = domain;
				   __assign_str(device);
				   __assign_str(consumer);
		    ),
		    TP_printk("domain=%p device=%s consumer=%s", __entry->domain, __get_str(device),
			      __get_str(consumer))
);

DEFINE_EVENT(kfi_domain_class, kfi_domain_opened,
	     TP_PROTO(const struct kfi_domain *domain),
	     TP_ARGS(domain)
);

DEFINE_EVENT(kfi_domain_class, kfi_domain_closed,
	     TP_PROTO(const struct kfi_domain *domain),
	     TP_ARGS(domain)
);

DECLARE_EVENT_CLASS(kfi_ep_class,
		    TP_PROTO(const void *ep, const struct kfi_domain *domain),
		    TP_ARGS(ep, domain),
		    TP_STRUCT__entry(__field(const void *, ep)
				     __string(device, domain->device->name)
				     __string(consumer, domain->core.consumer)
		    ),
		    TP_fast_assign(__entry->ep = ep;
				   __assign_str(device);
				   __assign_str(consumer);
		    ),
		    TP_printk("ep=%p device=%s consumer=%s", __entry->ep, __get_str(device), __get_str(consumer))
);

DEFINE_EVENT(kfi_ep_class, kfi_ep_opened,
	     TP_PROTO(const void *ep, const struct kfi_domain *domain),
	     TP_ARGS(ep, domain)
);

DEFINE_EVENT(kfi_ep_class, kfi_ep_closed,
	     TP_PROTO(const void *ep, const struct kfi_domain *domain),
	     TP_ARGS(ep, domain)
);

TRACE_EVENT(kfi_pep_closed,
	    TP_PROTO(const void *pep),
	    TP_ARGS(pep),
	    TP_STRUCT__entry(__field(const void *, pep)
	    ),
	    TP_fast_assign(__entry->pep = pep;
	    ),
	    TP_printk("pep=%p", __entry->pep)
);

#endif /* _TRACE_KFI_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
