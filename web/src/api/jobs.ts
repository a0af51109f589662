/** Whether something is still to come of a job in this state. */
export const isOpen = (state: string): boolean => state === 'PENDING' || state === 'RUNNING';
