/** What kind of backup one looks into, in a line. */
import type { Backup } from '../../api/types';
import { useNow } from '../../components/useNow';
import { backupSize, counted } from '../../format/size';
import { expiresIn } from '../../format/time';

export function BackupLead({ backup }: { backup: Backup | undefined }) {
  const now = useNow();
  if (!backup) return '\u00a0';
  const { type, size_bytes, total_bytes, rows, expires_at, encrypted } = backup.strongroom;
  const words = [
    type === 'FULL' ? 'Full backup' : 'Incremental backup',
    `${backupSize(total_bytes)} of data in ${backupSize(size_bytes)} of storage`,
    counted(rows, 'row'),
    encrypted ? 'encrypted' : 'not encrypted',
    `expires in ${expiresIn(expires_at, now)}`,
  ];
  return (
    <>
      {words.join(', ')}.
      {type === 'INCREMENTAL' &&
        ' Sizes tell what changed since the backup before it; 0\u00a0B means that nothing did. It restores to everything.'}
    </>
  );
}
