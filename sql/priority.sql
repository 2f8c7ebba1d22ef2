CREATE FUNCTION clinicq.create_priority_class(name text, rank integer, reached_by_ageing boolean DEFAULT true, clinic bigint DEFAULT NULL) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_create_priority_class';
COMMENT ON FUNCTION clinicq.create_priority_class(text, integer, boolean, bigint) IS
    'Adds a priority class to a clinic (NULL: the first one). name: up to 30 of a-z, 0-9, _ and -; rank: 0 to 32767, greater goes first; reached_by_ageing: whether visits come to count as of this class by waiting (setting priority_ageing_minutes). Errors: 22023 names every bad field; 23505 name or rank in use; P0002 no such clinic. Who: admin.';

CREATE FUNCTION clinicq.change_priority_class(rank integer, name text DEFAULT NULL, new_rank integer DEFAULT NULL, reached_by_ageing boolean DEFAULT NULL, clinic bigint DEFAULT NULL) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_change_priority_class';
COMMENT ON FUNCTION clinicq.change_priority_class(integer, text, integer, boolean, bigint) IS
    'Changes name, rank and whether waiting reaches it of the priority class of a rank; what is NULL stays. Open visits stay in their class and get its new rank, each with an event; visits of before keep the old one. Errors: 22023 names every bad field; 23505 name or rank in use; P0002 no such class; QC409 another rank for rank 0. Who: admin.';

CREATE FUNCTION clinicq.remove_priority_class(rank integer, clinic bigint DEFAULT NULL) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_remove_priority_class';
COMMENT ON FUNCTION clinicq.remove_priority_class(integer, bigint) IS
    'Removes a priority class. Errors: P0002 no such class; QC409 while an open visit is of it, and for rank 0. Who: admin.';
