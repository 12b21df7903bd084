export { DEBIAN, type DebianOptions, parseDebian } from './arguments.ts'
export { buildDebian, type DebianDisk, type DebianDiskOptions } from './build.ts'
export { debian } from './debian.ts'
export { bootDisk, bootImage, type DiskBoot, diskCommandLine, isDiskImage } from './boot-disk.ts'
