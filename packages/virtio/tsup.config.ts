import { type Build, library } from '../../tsup.base.ts'

const build: Build = library({ 'index': 'src/index.ts', 'block': 'src/block/block.ts', 'console': 'src/console/console.ts', 'p9': 'src/p9/p9.ts', 'entropy': 'src/entropy/entropy.ts', 'mmio': 'src/transport/mmio.ts', 'queue': 'src/queue/split.ts', 'testing': 'src/testing.ts', 'vsock': 'src/vsock/vsock.ts', 'net': 'src/net/net.ts' })
export default build
