import { type Build, library } from '../../tsup.base.ts'

const build: Build = library({ 'index': 'src/index.ts', 'block': 'src/block.ts', 'console': 'src/console.ts', 'entropy': 'src/entropy.ts', 'mmio': 'src/mmio.ts', 'queue': 'src/queue.ts', 'testing': 'src/testing.ts' })
export default build
