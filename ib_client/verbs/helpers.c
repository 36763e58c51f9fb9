// SPDX-License-Identifier: GPL-2.0-only
#include <linux/if_vlan.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <net/net_namespace.h>
#include <net/route.h>
#include "helpers.h"

int rust_helper_rdma_dev_to_node(struct ib_device *dev)
{
	return ibdev_to_node(dev);
}

bool rust_helper_rdma_protocol_iwarp(const struct ib_device *dev, u32 port)
{
	return rdma_protocol_iwarp(dev, port);
}

bool rust_helper_rdma_protocol_roce(const struct ib_device *dev, u32 port)
{
	return rdma_protocol_roce(dev, port);
}

bool rust_helper_rdma_port_has_af_ib(const struct ib_device *dev, u32 port)
{
	return rdma_cap_af_ib(dev, port) && rdma_cap_ib_cm(dev, port);
}

/* GIDs of RoCE are addresses of a network device, which is in one namespace. */
bool rust_helper_rdma_gid_in_net(const struct ib_gid_attr *attr, const struct net *net)
{
	struct net_device *ndev;
	bool in;

	if (!rdma_protocol_roce(attr->device, attr->port_num))
		return true;
	rcu_read_lock();
	ndev = rdma_read_gid_attr_ndev_rcu(attr);
	in = !IS_ERR(ndev) && net_eq(dev_net_rcu(ndev), net);
	rcu_read_unlock();
	return in;
}

void rust_helper_rdma_get_net(struct net *net)
{
	get_net(net);
}

void rust_helper_rdma_put_net(struct net *net)
{
	put_net(net);
}

int rust_helper_rdma_port_gids(const struct ib_device *dev, u32 port)
{
	return dev->port_data[port].immutable.gid_tbl_len;
}

union gid_ip {
	struct sockaddr		any;
	struct sockaddr_in6	in6;
};

static void gid_to_ip(union gid_ip *ip, const union ib_gid *gid, int ifindex)
{
	rdma_gid2ip(&ip->any, gid);
	if (ip->any.sa_family == AF_INET6 && ipv6_addr_type(&ip->in6.sin6_addr) & IPV6_ADDR_LINKLOCAL)
		ip->in6.sin6_scope_id = ifindex;
}

/* The service level that stands for the priority of a traffic class, as rdma_cm chooses it. */
static u8 sl_of(struct net_device *ndev, u8 traffic_class)
{
	struct net_device *real = is_vlan_dev(ndev) ? vlan_dev_real_dev(ndev) : ndev;
	int prio = rt_tos2priority(traffic_class);

	if (real->num_tc)
		return netdev_get_prio_tc_map(real, prio);
#if IS_ENABLED(CONFIG_VLAN_8021Q)
	if (is_vlan_dev(ndev))
		return (vlan_dev_get_egress_qos_mask(ndev, prio) & VLAN_PRIO_MASK) >> VLAN_PRIO_SHIFT;
#endif
	return 0;
}

/* RoCE, whose GIDs are IP addresses: start to find the neighbour behind @path->dgid. Sets MTU and SL of the path. */
int rust_helper_rdma_resolve_gid(const struct ib_gid_attr *from, struct sa_path_rec *path, struct rdma_dev_addr *addr,
				 unsigned long timeout_ms,
				 void (*found)(int status, struct sockaddr *src, struct rdma_dev_addr *addr,
					       void *context),
				 void *context)
{
	union gid_ip src = {}, dst = {};
	struct net_device *ndev;
	int ifindex = 0;

	rcu_read_lock();
	ndev = rdma_read_gid_attr_ndev_rcu(from);
	if (!IS_ERR(ndev)) {
		ifindex = ndev->ifindex;
		path->mtu = iboe_get_mtu(ndev->mtu);
		path->sl = sl_of(ndev, path->traffic_class);
	}
	rcu_read_unlock();
	if (!ifindex || !path->mtu)
		return -ENODEV;
	gid_to_ip(&src, &from->gid, ifindex);
	gid_to_ip(&dst, &path->dgid, ifindex);
	if (src.any.sa_family != dst.any.sa_family)
		return -EHOSTUNREACH;
	addr->bound_dev_if = ifindex;
	addr->sgid_attr = from;
	return rdma_resolve_ip(&src.any, &dst.any, addr, timeout_ms, found, true, context);
}

void rust_helper_rdma_path_to_neighbour(struct sa_path_rec *path, struct rdma_dev_addr *addr)
{
	path->hop_limit = addr->hoplimit;
	path->roce.route_resolved = true;
	sa_path_set_dmac(path, addr->dst_dev_addr);
}

u32 rust_helper_rdma_random_psn(void)
{
	return get_random_u32() & 0xffffff;
}

ib_sa_comp_mask rust_helper_rdma_path_mask(void)
{
	return IB_SA_PATH_REC_DGID | IB_SA_PATH_REC_SGID | IB_SA_PATH_REC_PKEY | IB_SA_PATH_REC_NUMB_PATH |
	       IB_SA_PATH_REC_REVERSIBLE | IB_SA_PATH_REC_SERVICE_ID | IB_SA_PATH_REC_TRAFFIC_CLASS;
}

gfp_t rust_helper_rdma_gfp_kernel(void)
{
	return GFP_KERNEL;
}

bool rust_helper_rdma_uses_virt_dma(struct ib_device *dev)
{
	return ib_uses_virt_dma(dev);
}

bool rust_helper_rdma_dma_pci_p2p_supported(struct ib_device *dev)
{
	return ib_dma_pci_p2p_dma_supported(dev);
}

/* Protects the lists of devices that clients keep; Rust has no static locks. */
static DEFINE_MUTEX(rdma_clients_mutex);

int rust_helper_rdma_port_gid(struct ib_device *dev, u32 port, u8 *gid)
{
	union ib_gid first;
	int ret = rdma_query_gid(dev, port, 0, &first);

	if (!ret)
		memcpy(gid, first.raw, sizeof(first.raw));
	return ret;
}

void rust_helper_rdma_clients_lock(void)
{
	mutex_lock(&rdma_clients_mutex);
}

void rust_helper_rdma_clients_unlock(void)
{
	mutex_unlock(&rdma_clients_mutex);
}

u64 rust_helper_rdma_dma_map_single(struct ib_device *dev, void *ptr, size_t size, enum dma_data_direction dir)
{
	return ib_dma_map_single(dev, ptr, size, dir);
}

void rust_helper_rdma_dma_unmap_single(struct ib_device *dev, u64 addr, size_t size, enum dma_data_direction dir)
{
	ib_dma_unmap_single(dev, addr, size, dir);
}

int rust_helper_rdma_dma_mapping_error(struct ib_device *dev, u64 addr)
{
	return ib_dma_mapping_error(dev, addr);
}

int rust_helper_rdma_dma_map_sg(struct ib_device *dev, struct scatterlist *sg, int nents,
				enum dma_data_direction dir)
{
	return ib_dma_map_sg(dev, sg, nents, dir);
}

void rust_helper_rdma_dma_unmap_sg(struct ib_device *dev, struct scatterlist *sg, int nents,
				   enum dma_data_direction dir)
{
	ib_dma_unmap_sg(dev, sg, nents, dir);
}

void rust_helper_rdma_dma_sync_single_for_cpu(struct ib_device *dev, u64 addr, size_t size,
					      enum dma_data_direction dir)
{
	ib_dma_sync_single_for_cpu(dev, addr, size, dir);
}

void rust_helper_rdma_dma_sync_single_for_device(struct ib_device *dev, u64 addr, size_t size,
						 enum dma_data_direction dir)
{
	ib_dma_sync_single_for_device(dev, addr, size, dir);
}

/* Map one range of DMA addresses. Returns the number of elements used, 1, or a negative errno. */
int rust_helper_rdma_map_mr_linear(struct ib_mr *mr, u64 addr, u32 length)
{
	struct scatterlist sg;

	sg_init_table(&sg, 1);
	sg_dma_address(&sg) = addr;
	sg_dma_len(&sg) = length;
	return ib_map_mr_sg(mr, &sg, 1, NULL, PAGE_SIZE);
}

u32 rust_helper_rdma_inc_rkey(u32 rkey)
{
	return ib_inc_rkey(rkey);
}

void rust_helper_rdma_update_fast_reg_key(struct ib_mr *mr, u8 key)
{
	ib_update_fast_reg_key(mr, key);
}
