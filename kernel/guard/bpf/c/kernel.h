// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
//
// The parts of the kernel that the guard reads. The loader finds the real
// offsets of the fields by BTF (CO-RE), so order and size of these structs mean
// nothing. A suffix after three underscores names another shape of one struct.
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef _Bool bool;
#define true 1
#define false 0

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __weak __attribute__((weak))
#define __ksym __attribute__((section(".ksyms")))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define load(x) (*(volatile typeof(x) *)&(x))

#define EPERM 1
#define ETXTBSY 26
#define PROT_EXEC 4
#define VM_EXEC 4
#define S_IFMT 0170000
#define S_IFREG 0100000
#define FMODE_WRITE 2
#define HASH_ALGO_SHA256 4

// Flags of super blocks. SB_NOUSER: the kernel's own mount, such as that of memfd.
#define SB_I_VERSION (1UL << 23)
#define SB_NOUSER (1UL << 31)
#define SB_I_IMA_UNVERIFIABLE_SIGNATURE 0x20
#define SB_I_UNTRUSTED_MOUNTER 0x40

#define BPF_FS_MAGIC 0xcafe4a11UL
#define BTRFS_MAGIC 0x9123683eUL
#define EROFS_MAGIC 0xe0f5e1e2UL
#define EXT4_MAGIC 0xef53UL
#define F2FS_MAGIC 0xf2f52010UL
#define OVERLAYFS_MAGIC 0x794c7630UL
#define RAMFS_MAGIC 0x858458f6UL
#define SQUASHFS_MAGIC 0x73717368UL
#define TMPFS_MAGIC 0x01021994UL
#define XFS_MAGIC 0x58465342UL

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_INODE_STORAGE = 28,
};
#define BPF_NOEXIST 1
#define BPF_F_NO_PREALLOC 1
#define BPF_F_MMAPABLE (1 << 10)
#define BPF_F_INNER_MAP (1 << 12)
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_flags;
	unsigned long s_iflags;
	unsigned long s_magic;
};

struct rb_node {
	struct rb_node *rb_right;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

struct address_space {
	struct rb_root_cached i_mmap;
};

struct inode {
	__u16 i_mode;
	struct super_block *i_sb;
	struct address_space *i_mapping;
	unsigned long i_ino;
	__s64 i_size;
	__s64 i_mtime_sec;
	__s64 i_ctime_sec;
	__u32 i_mtime_nsec;
	__u32 i_ctime_nsec;
	atomic64_t i_version;
	atomic_t i_writecount;
};

// 6.6 to 6.10
struct inode___v6_6 {
	struct timespec64 i_mtime;
	struct timespec64 __i_ctime;
};

// before 6.6
struct inode___v6_1 {
	struct timespec64 i_mtime;
	struct timespec64 i_ctime;
};

struct dentry {
	struct inode *d_inode;
};

struct vfsmount {
	struct super_block *mnt_sb;
};

struct bpf_map {
	__u32 id;
};

struct path {
	struct dentry *dentry;
};

struct file {
	__u32 f_mode;
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
};

struct vm_area_struct {
	unsigned long vm_flags;
	struct file *vm_file;
};

struct linux_binprm {
	unsigned int is_check : 1; // from 6.14
	struct file *file;
};

struct list_head {
	struct list_head *next;
};

struct ns_common {
	unsigned int inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
};

struct task_struct {
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_boottime;
	struct nsproxy *nsproxy;
	int tgid;
};

#pragma clang attribute pop

// Facts about a field or a type that clang has the loader find out.
#define CORE_BYTE_OFFSET 0
#define CORE_BYTE_SIZE 1
#define CORE_EXISTS 2
#define CORE_LSHIFT 4
#define CORE_RSHIFT 5
#define CORE_TYPE_ID_TARGET 1
#define field_exists(field) __builtin_preserve_field_info(field, CORE_EXISTS)
#define kernel_type(type) ((__u32)__builtin_btf_type_id(*(typeof(type) *)0, CORE_TYPE_ID_TARGET))

// bit reads a bit field, which has no address.
#define bit(s, field)                                                                      \
	({                                                                                 \
		const void *p = (const void *)(s) + __builtin_preserve_field_info((s)->field, CORE_BYTE_OFFSET); \
		__u64 v = 0;                                                               \
		asm volatile("" : "+r"(p));                                                \
		switch (__builtin_preserve_field_info((s)->field, CORE_BYTE_SIZE)) {       \
		case 1: v = *(const __u8 *)p; break;                                       \
		case 2: v = *(const __u16 *)p; break;                                      \
		case 4: v = *(const __u32 *)p; break;                                      \
		case 8: v = *(const __u64 *)p; break;                                      \
		}                                                                          \
		v <<= __builtin_preserve_field_info((s)->field, CORE_LSHIFT);              \
		v >> __builtin_preserve_field_info((s)->field, CORE_RSHIFT);               \
	})

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static __u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static __u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static __u64 (*const bpf_get_current_uid_gid)(void) = (void *)15;
static long (*const bpf_get_current_comm)(void *buf, __u32 size) = (void *)16;
static __u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;
static __u64 (*const bpf_get_current_ancestor_cgroup_id)(int level) = (void *)123;
static __u64 (*const bpf_ktime_get_boot_ns)(void) = (void *)125;
static void *(*const bpf_ringbuf_reserve)(void *ringbuf, __u64 size, __u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static void *(*const bpf_inode_storage_get)(void *map, void *inode, void *value, __u64 flags) = (void *)145;
static long (*const bpf_d_path)(struct path *path, char *buf, __u32 size) = (void *)147;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static long (*const bpf_loop)(__u32 times, void *callback, void *context, __u64 flags) = (void *)181;
static long (*const bpf_get_func_arg)(void *ctx, __u32 n, __u64 *value) = (void *)183;
static long (*const bpf_ima_file_hash)(struct file *file, void *dst, __u32 size) = (void *)193;

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;
