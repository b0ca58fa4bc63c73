// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
//
// The guard lets contents run that an active list holds, and no others. It keeps
// the SHA-256 of a file's content with the inode and looks that up each time: the
// digest is cached, never the verdict. Withdrawing a digest is one write, for
// all copies of the file and at once.
//
// A cached digest is void when somebody opened the file for writing or truncated it since
// (seq), or when size, times or version of the inode changed (witness). An inode
// whose storage was evicted is hashed anew: no entry never means "allow".
#include "table.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps");

// The number of the index's commit that digests agrees with; 0: none.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} commit SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u32);
} exempt_cgroups SEC(".maps");

// The devices of the super blocks that the host has mounted.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} host_mounts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} events SEC(".maps");

struct witness {
	__u64 real; // the inode that holds the bytes
	__u64 version;
	__s64 size;
	__s64 ctime, mtime;
	__u32 ctime_ns, mtime_ns;
};

// seal: what only keepers touch, by key (see SEALED_*).
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u32);
} sealed SEC(".maps");
#define SEALED_MAP(id) (1ULL << 32 | (id))
#define SEALED_FS(device) (2ULL << 32 | (device))
#define SEALED_DIR(inode) (3ULL << 32 | (__u32)(inode))

// The digests of the programs that may touch the guard.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 64);
	__uint(key_size, 32);
	__type(value, __u32);
} keepers SEC(".maps");

// The processes that run them, each with the time at which it was started, in 10 ms since
// boot: a number of a process is used again.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} keeping SEC(".maps");

// The digest of an inode, and when it holds. valid is (times published) << 48 | (seq + 1) of the
// digest, or has BUSY in its low bits while the digest is being stored.
struct known {
	__u64 seq;
	__u64 valid;
	struct witness witness;
	struct digest digest;
};
#define SEQ ((1ULL << 48) - 1)
#define BUSY SEQ

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct known);
} inodes SEC(".maps");

// strict: how many mappings of an inode were allowed and are not made yet. The kernel
// may skip the program that ends it, so it also ends by itself.
struct pending {
	__u64 until;
	__u32 mappings;
};
#define PENDING_NS 1000000000ULL

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 12);
	__type(key, __u64);
	__type(value, struct pending);
} pending SEC(".maps");

static __always_inline struct control *get_control(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline struct counters *get_counts(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&counts, &zero);
}

#define count(field)                               \
	do {                                       \
		struct counters *n = get_counts(); \
		if (n)                             \
			n->field++;                \
	} while (0)

static __always_inline bool regular(struct inode *inode)
{
	return (inode->i_mode & S_IFMT) == S_IFREG;
}

// Memory without a path: memfd, shared anonymous mappings, System V.
static __always_inline bool anonymous(struct super_block *sb)
{
	return sb->s_flags & SB_NOUSER;
}

static __always_inline void observe(struct inode *inode, struct witness *w)
{
	w->real = (__u64)inode;
	w->version = (__u64)inode->i_version.counter >> 1; // the lowest bit: somebody asked
	w->size = inode->i_size;
	if (field_exists(inode->i_ctime_sec)) {
		w->ctime = inode->i_ctime_sec;
		w->mtime = inode->i_mtime_sec;
		w->mtime_ns = inode->i_mtime_nsec;
		w->ctime_ns = inode->i_ctime_nsec & 0x7fffffff; // from 6.13 the highest bit: somebody asked
	} else if (field_exists(((struct inode___v6_6 *)0)->__i_ctime)) {
		struct inode___v6_6 *i = (void *)inode;
		w->ctime = i->__i_ctime.tv_sec;
		w->mtime = i->i_mtime.tv_sec;
		w->mtime_ns = i->i_mtime.tv_nsec;
		w->ctime_ns = i->__i_ctime.tv_nsec;
	} else {
		struct inode___v6_1 *i = (void *)inode;
		w->ctime = i->i_ctime.tv_sec;
		w->mtime = i->i_mtime.tv_sec;
		w->mtime_ns = i->i_mtime.tv_nsec;
		w->ctime_ns = i->i_ctime.tv_nsec;
	}
}

// same has few branches: each takes the verifier time. Pointers can be compared only.
static __always_inline bool same(const struct witness *a, const struct witness *b)
{
	return a->real == b->real &&
	       !((a->version ^ b->version) | (a->size ^ b->size) | (a->ctime ^ b->ctime) | (a->ctime_ns ^ b->ctime_ns) |
		 (a->mtime ^ b->mtime) | (a->mtime_ns ^ b->mtime_ns));
}

// Every change of a file on these goes through an open of the inode at hand, or shows in
// its times. On others, such as those of a network, each check hashes.
static __always_inline bool cacheable(unsigned long magic)
{
	return magic == EXT4_MAGIC || magic == XFS_MAGIC || magic == BTRFS_MAGIC || magic == TMPFS_MAGIC ||
	       magic == RAMFS_MAGIC || magic == F2FS_MAGIC || magic == SQUASHFS_MAGIC || magic == EROFS_MAGIC;
}

// real_inode is the inode below one of overlayfs, or none.
static __always_inline struct inode *real_inode(struct control *c, struct file *file)
{
	void *real = file->private_data;
	if (!bpf_rdonly_cast || c->overlay == OVERLAY_UNKNOWN)
		return 0;
	if (c->overlay == OVERLAY_STRUCT) { // its first member is the file
		struct list_head *first = bpf_rdonly_cast(real, kernel_type(struct list_head));
		real = first->next;
	}
	struct file *below = bpf_rdonly_cast(real, kernel_type(struct file));
	return below->f_inode;
}

enum answer { STALE, LISTED, NOT_LISTED };

// cached looks up the digest that is known of an inode, if it is that of its content, and
// copies one that is not listed. What is looked up is compared with nothing that changes
// meanwhile: if it did, the answer is not used.
static __always_inline enum answer cached(struct known *k, const struct witness *now, __u64 seq, struct digest *digest)
{
	__u64 valid = load(k->valid);
	if ((valid & SEQ) != ((seq + 1) & SEQ) || !same(&k->witness, now))
		return STALE;
	enum answer answer = listed(&k->digest) ? LISTED : NOT_LISTED;
	if (answer == NOT_LISTED)
		*digest = k->digest;
	return load(k->valid) == valid && load(k->seq) == seq ? answer : STALE;
}

static __always_inline void remember(struct known *k, const struct witness *now, __u64 seq, const struct digest *digest)
{
	__u64 valid = load(k->valid), published = (valid & ~SEQ) + (1ULL << 48);
	if ((valid & SEQ) == BUSY || __sync_val_compare_and_swap(&k->valid, valid, published | BUSY) != valid)
		return;
	k->digest = *digest;
	k->witness = *now;
	__sync_val_compare_and_swap(&k->valid, published | BUSY, published | ((seq + 1) & SEQ));
}

// exempted says whether a container that the owner named runs a file of its own: its
// cgroup or one above is named, its mounts are not the host's, and the host
// has not mounted the file's super block.
static __always_inline bool exempted(struct control *c, struct super_block *sb)
{
	if (!c->exempt || !sb)
		return false;
	struct nsproxy *namespaces = bpf_get_current_task_btf()->nsproxy;
	if (!namespaces || namespaces->mnt_ns->ns.inum == c->host_mnt)
		return false;
	__u32 device = sb->s_dev;
	if (bpf_map_lookup_elem(&host_mounts, &device))
		return false;
#pragma unroll
	for (int level = 1; level <= 6; level++) {
		__u64 group = bpf_get_current_ancestor_cgroup_id(level);
		if (!group)
			return false;
		if (bpf_map_lookup_elem(&exempt_cgroups, &group)) {
			count(exempted);
			return true;
		}
	}
	return false;
}

// unknown returns its argument, of which the verifier forgets which it is: it would go through
// what follows once for each that it can be, and kernels search all names of their types for
// each pointer that is followed there.
static __always_inline __u8 unknown(__u8 x)
{
	volatile __u8 both[2] = {x, x};
	return both[bpf_get_smp_processor_id() & 1];
}

// refuse tells user space of a refusal and gives the answer to it. It tells the path of a file
// that it is given, which it can only where the program may sleep.
static __always_inline int refuse(struct control *c, struct file *file, struct inode *inode, struct super_block *sb, __u8 act, __u8 reason, const struct digest *digest)
{
	if (act != WRITE && act != UNSEAL && exempted(c, sb))
		return 0;
	__u32 mode = c->mode;
	// A trial ends here: also where no process is left that would end it.
	if (mode == ENFORCE && c->until && bpf_ktime_get_boot_ns() >= c->until)
		mode = AUDIT;
	if ((act == KERNEL_READ || act == KERNEL_LOAD) && c->modules < mode)
		mode = c->modules;
	bool deny = mode == ENFORCE;
	int answer = deny ? act == WRITE ? -ETXTBSY : -EPERM : 0;

	struct counters *n = get_counts();
	if (n) {
		n->missed++;
		n->refused += deny;
	}
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(lost);
		return answer;
	}
	struct task_struct *task = bpf_get_current_task_btf();
	e->when = bpf_ktime_get_ns();
	e->inode = inode ? inode->i_ino : 0;
	e->device = sb ? sb->s_dev : 0;
	e->cgroup = bpf_get_current_cgroup_id();
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->parent = task->real_parent->tgid;
	e->uid = bpf_get_current_uid_gid();
	e->act = act;
	e->reason = reason;
	e->refused = deny;
	e->hashed = digest && reason == UNLISTED;
	if (e->hashed)
		__builtin_memcpy(e->digest, digest->bytes, 32);
	else
		__builtin_memset(e->digest, 0, 32);
	bpf_get_current_comm(e->command, sizeof(e->command));
	e->path_length = 0;
	e->path[0] = 0;
	if (file) {
		long n = bpf_d_path(&file->f_path, e->path, sizeof(e->path));
		e->path_length = n > 0 ? n : 0;
	}
	bpf_ringbuf_submit(e, 0);
	return answer;
}

// judge says why the content of a file may not run, or 0. It may sleep. It gives the
// content's digest if reason is UNLISTED or 0.
static __always_inline __u8 judge(struct control *c, struct counters *n, struct file *file, struct inode *inode, struct super_block *sb, struct digest *digest)
{
	struct inode *real = inode;
	struct witness before = {}, after = {};
	bool keep = cacheable(sb->s_magic) && !anonymous(sb);

	if (sb->s_iflags & (SB_I_IMA_UNVERIFIABLE_SIGNATURE | SB_I_UNTRUSTED_MOUNTER))
		return UNSTABLE;
	if (sb->s_magic == OVERLAYFS_MAGIC) {
		struct inode *below = real_inode(c, file);
		if (below) {
			real = below;
			// Only hashing asks for the version of the inode below, and only a
			// version shows two changes within one tick of the clock.
			struct super_block *below_sb = below->i_sb;
			keep = cacheable(below_sb->s_magic) && below_sb->s_flags & SB_I_VERSION;
		}
	}
	// Hashing heeds no signal, so nobody is made to wait for what cannot be listed.
	if (c->largest && (__u64)inode->i_size > c->largest)
		return TOO_LARGE;
	struct known *k = bpf_inode_storage_get(&inodes, inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	// Of two that make it at the same moment one fails, and finds the other's then.
	if (!k)
		k = bpf_inode_storage_get(&inodes, inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!k)
		return NO_MEMORY;
	// Writers are looked for after seq is read: one who opened before the storage was
	// there did not raise seq, and either still counts or wrote before the hash.
	__u64 seq = load(k->seq);
	if (inode->i_writecount.counter > 0 || real->i_writecount.counter > 0)
		return WRITTEN;
	observe(real, &before);
	enum answer answer = keep ? cached(k, &before, seq, digest) : STALE;
	if (answer != STALE) {
		if (n)
			n->cached++;
		return answer == LISTED ? 0 : UNLISTED;
	}
	if (n)
		n->hashed++;
	// XFS counts a change when it writes back what a writer left who is gone: the version
	// changes while nobody can write.
	for (int attempt = 0; attempt < 3; attempt++) {
		if (bpf_ima_file_hash(file, digest->bytes, 32) != HASH_ALGO_SHA256)
			return UNHASHED;
		observe(real, &after);
		if (inode->i_writecount.counter > 0 || real->i_writecount.counter > 0 || load(k->seq) != seq)
			return WRITTEN;
		if (same(&before, &after)) {
			if (keep)
				remember(k, &before, seq, digest);
			return listed(digest) ? 0 : UNLISTED;
		}
		before = after;
	}
	return WRITTEN;
}

// decide says whether the content of a file may run: 0 or an error.
static __always_inline int decide(struct control *c, struct file *file, __u8 act)
{
	struct inode *inode = file->f_inode;
	struct super_block *sb = inode->i_sb;
	struct digest digest = {};
	struct counters *n = get_counts();
	if (n)
		n->checks++;
	__u8 reason = judge(c, n, file, inode, sb, &digest);
	return reason ? refuse(c, file, inode, sb, act, unknown(reason), &digest) : 0;
}

SEC("lsm.s/bprm_check_security")
int guard_exec(__u64 *ctx)
{
	struct linux_binprm *bprm = (void *)ctx[0];
	struct control *c = get_control();
	if (!c || c->mode == OFF)
		return 0;
	return decide(c, bprm->file, EXEC);
}

// AT_EXECVE_CHECK (6.14) asks and runs nothing; it never comes to guard_exec.
SEC("lsm.s/bprm_creds_for_exec")
int guard_check(__u64 *ctx)
{
	struct linux_binprm *bprm = (void *)ctx[0];
	struct control *c = get_control();
	if (!field_exists(bprm->is_check) || !c || c->mode == OFF || !bit(bprm, is_check))
		return 0;
	return decide(c, bprm->file, EXEC);
}

// absent says whether the first argument, a file, is NULL. It is asked for by number:
// from 6.3 on the verifier takes a file for never null and deletes the usual
// test, and an anonymous mapping would then stop the kernel. Later verifiers demand
// that test all the same.
static __always_inline bool absent(__u64 *ctx, struct file *file)
{
	__u64 raw = 0;
	return bpf_get_func_arg(ctx, 0, &raw) || !raw || !file;
}

// mapped is the inode that a mapping of code is about, or none.
static __always_inline struct inode *mapped(__u64 *ctx, struct file *file, unsigned long prot)
{
	if (!(prot & PROT_EXEC) || absent(ctx, file))
		return 0;
	// Devices such as /dev/zero are anonymous memory, too.
	struct inode *inode = file->f_inode;
	return regular(inode) && !anonymous(inode->i_sb) ? inode : 0;
}

// settle says that a mapping was made or refused. The entry stays: to delete it here
// would take it from a mapping that is about to be counted.
static __always_inline void settle(struct pending *p)
{
	if (load(p->mappings) > 0)
		__sync_fetch_and_add(&p->mappings, -1);
}

SEC("lsm.s/mmap_file")
int guard_mmap(__u64 *ctx)
{
	struct file *file = (void *)ctx[0];
	struct inode *inode = mapped(ctx, file, ctx[2]);
	struct control *c = get_control();
	if (!inode || !c || c->mode == OFF)
		return 0;
	__u64 key = (__u64)inode;
	struct pending none = {}, *p = 0;
	if (c->strict && c->mode == ENFORCE) {
		// In place before decide looks for writers: it sees the writer, or the writer this.
		p = bpf_map_lookup_elem(&pending, &key);
		if (!p) {
			bpf_map_update_elem(&pending, &key, &none, BPF_NOEXIST);
			p = bpf_map_lookup_elem(&pending, &key);
		}
		if (p) {
			p->until = ~0ULL;
			__sync_fetch_and_add(&p->mappings, 1);
		}
	}
	int answer = decide(c, file, MAP);
	if (p) {
		p->until = bpf_ktime_get_ns() + PENDING_NS;
		if (answer)
			settle(p);
	}
	return answer;
}

// A mapping that was made is in i_mmap. One that failed after its answer stays pending
// until its time is over.
SEC("fexit/vm_mmap_pgoff")
int guard_mapped(__u64 *ctx)
{
	struct file *file = (void *)ctx[0];
	struct inode *inode = mapped(ctx, file, ctx[3]);
	if (!inode || (__s64)ctx[6] < 0)
		return 0;
	__u64 key = (__u64)inode;
	struct pending *p = bpf_map_lookup_elem(&pending, &key);
	if (p)
		settle(p);
	return 0;
}

SEC("lsm/file_mprotect")
int guard_mprotect(__u64 *ctx)
{
	struct vm_area_struct *vma = (void *)ctx[0];
	struct control *c = get_control();
	struct witness now = {};
	struct digest digest = {};

	// A mapping that can run already was checked when it was made.
	if (!(ctx[2] & PROT_EXEC) || vma->vm_flags & VM_EXEC || !c || c->mode == OFF)
		return 0;
	struct file *file = vma->vm_file;
	if (!file)
		return 0;
	struct inode *inode = file->f_inode;
	struct super_block *sb = inode->i_sb;
	if (!regular(inode) || anonymous(sb))
		return 0;
	struct known *k = bpf_inode_storage_get(&inodes, inode, 0, 0);
	enum answer answer = STALE;
	__u8 reason = 0;
	observe(inode, &now);
	if (k)
		answer = cached(k, &now, load(k->seq), &digest);
	if (inode->i_writecount.counter > 0)
		reason = WRITTEN;
	else if (answer == STALE)
		reason = UNKNOWN;
	else if (answer == NOT_LISTED)
		reason = UNLISTED;
	return reason ? refuse(c, 0, inode, sb, PROTECT, unknown(reason), &digest) : 0;
}

// The same numbers in kernel_read_file_id and kernel_load_data_id.
#define FIRMWARE 1
#define MODULE 2
#define KEXEC_IMAGE 3
#define MODULE_COMPRESSED 7

SEC("lsm.s/kernel_read_file")
int guard_kernel_read(__u64 *ctx)
{
	struct file *file = (void *)ctx[0];
	__u32 id = ctx[1];
	struct control *c = get_control();

	if (!c || c->mode == OFF || (id != FIRMWARE && id != MODULE && id != KEXEC_IMAGE && id != MODULE_COMPRESSED))
		return 0;
	if (absent(ctx, file))
		return refuse(c, 0, 0, 0, KERNEL_READ, NO_FILE, 0);
	return decide(c, file, KERNEL_READ);
}

SEC("lsm/kernel_load_data")
int guard_kernel_load(__u64 *ctx)
{
	__u32 id = ctx[0];
	struct control *c = get_control();
	// Firmware that comes as bytes was built into the kernel or pushed by root.
	if (!c || c->mode == OFF || (id != MODULE && id != KEXEC_IMAGE))
		return 0;
	return refuse(c, 0, 0, 0, KERNEL_LOAD, NO_FILE, 0);
}

static __always_inline void make_void(struct inode *inode)
{
	struct known *k = bpf_inode_storage_get(&inodes, inode, 0, 0);
	if (!k)
		return;
	__sync_fetch_and_add(&k->seq, 1);
	count(voided);
}

// in_use says whether code of a listed file is mapped, or is about to be.
static __always_inline bool in_use(struct inode *inode)
{
	__u64 key = (__u64)inode;
	struct pending *p = bpf_map_lookup_elem(&pending, &key);
	if (p && load(p->mappings) && bpf_ktime_get_ns() < load(p->until))
		return true;
	struct known *k = bpf_inode_storage_get(&inodes, inode, 0, 0);
	if (!k || !inode->i_mapping->i_mmap.rb_root.rb_node || (load(k->valid) & SEQ) != ((load(k->seq) + 1) & SEQ))
		return false;
	return listed(&k->digest);
}

// written is apart from guard_open: what most opens run is to be short.
static __noinline int written(struct file *file)
{
	struct inode *inode = file->f_inode;
	if (!regular(inode))
		return 0;
	struct control *c = get_control();
	if (c && c->strict && c->mode == ENFORCE && in_use(inode))
		return refuse(c, 0, inode, inode->i_sb, WRITE, IN_USE, 0);
	make_void(inode);
	return 0;
}

// A process that opens for writing is counted in i_writecount before this is called.
SEC("lsm/file_open")
int guard_open(__u64 *ctx)
{
	struct file *file = (void *)ctx[0];
	return file->f_mode & FMODE_WRITE ? written(file) : 0;
}

SEC("lsm/path_truncate")
int guard_truncate(__u64 *ctx)
{
	struct path *path = (void *)ctx[0];
	make_void(path->dentry->d_inode);
	return 0;
}

// seal: only programs that are named by their digests open the guard's maps, and take its pins
// or their file system away. Another program can be given to a process by ptrace(2) still.

static __always_inline __u64 started(struct task_struct *task)
{
	return task->group_leader->start_boottime / 10000000;
}

static __always_inline struct control *sealing(void)
{
	struct control *c = get_control();
	return c && c->seal && c->mode != OFF ? c : 0;
}

// unless_keeper is the answer to a process that touches what has this key.
static __always_inline int unless_keeper(struct control *c, __u64 key)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	if (!bpf_map_lookup_elem(&sealed, &key))
		return 0;
	__u64 *since = bpf_map_lookup_elem(&keeping, &tgid);
	if (since && *since == started(bpf_get_current_task_btf()))
		return 0;
	return refuse(c, 0, 0, 0, UNSEAL, SEALED, 0);
}

// The program has taken the place of the one before, and no way leads back.
SEC("lsm/bprm_committed_creds")
int guard_seal_exec(__u64 *ctx)
{
	struct linux_binprm *bprm = (void *)ctx[0];
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct witness now = {};
	struct inode *inode = bprm->file->f_inode;
	if (!sealing())
		return 0;
	struct known *k = bpf_inode_storage_get(&inodes, inode, 0, 0);
	observe(inode, &now);
	if (k && (load(k->valid) & SEQ) == ((load(k->seq) + 1) & SEQ) && same(&k->witness, &now) &&
	    bpf_map_lookup_elem(&keepers, &k->digest)) {
		__u64 since = started(bpf_get_current_task_btf());
		bpf_map_update_elem(&keeping, &tgid, &since, 0);
		return 0;
	}
	bpf_map_delete_elem(&keeping, &tgid);
	return 0;
}

SEC("lsm/bpf_map")
int guard_seal_map(__u64 *ctx)
{
	struct bpf_map *map = (void *)ctx[0];
	struct control *c = sealing();
	return c ? unless_keeper(c, SEALED_MAP(map->id)) : 0;
}

static __always_inline int unless_keeper_in(struct inode *dir)
{
	if (dir->i_sb->s_magic != BPF_FS_MAGIC)
		return 0;
	struct control *c = sealing();
	return c ? unless_keeper(c, SEALED_DIR(dir->i_ino)) : 0;
}

SEC("lsm/inode_unlink")
int guard_seal_unlink(__u64 *ctx)
{
	return unless_keeper_in((void *)ctx[0]);
}

SEC("lsm/inode_rename")
int guard_seal_rename(__u64 *ctx)
{
	int answer = unless_keeper_in((void *)ctx[0]);
	return answer ? answer : unless_keeper_in((void *)ctx[2]);
}

SEC("lsm/sb_umount")
int guard_seal_umount(__u64 *ctx)
{
	struct vfsmount *mount = (void *)ctx[0];
	if (mount->mnt_sb->s_magic != BPF_FS_MAGIC)
		return 0;
	struct control *c = sealing();
	return c ? unless_keeper(c, SEALED_FS(mount->mnt_sb->s_dev)) : 0;
}
