export const DISK_FORMATS = ['erofs', 'ext4'] as const

export type DiskFormat = (typeof DISK_FORMATS)[number]
