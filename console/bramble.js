#!/usr/bin/env node
// The command `bramble`, started by whatever Node the shell has; see broker/launch.js.
import { launch } from '../broker/launch.js'

/**
 * MiB of old generation before its first full collection. Frames live outside V8's heap but count against it: with the
 * default there are four full collections a second at 150 frames/s, which cost a third of the console's CPU.
 */
const ROOM_FOR_FRAMES = '--initial-old-space-size=128'

await launch(new URL('./main.ts', import.meta.url), { flags: [ROOM_FOR_FRAMES] })
