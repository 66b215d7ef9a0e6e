"""Operations CLI and configuration of Lockstep: warm multi-region disaster recovery on AWS."""
