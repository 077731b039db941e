// Runs a server in PROCESSES processes that share one port.
import cluster from 'node:cluster';

export async function inProcesses(start) {
  const processes = Number(process.env.PROCESSES);
  if (processes > 1 && cluster.isPrimary) {
    for (let i = 0; i < processes; i++) {
      cluster.fork();
    }
  } else {
    await start({ host: '127.0.0.1', port: Number(process.env.PORT) });
  }
}
